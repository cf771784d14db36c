#include "node/fronts/resp/writer.h"

#include <charconv>
#include <cmath>

namespace cartwheel::resp {

void RespWriter::header(char kind, int64_t number) {
  char text[24];
  text[0] = kind;
  char* end = std::to_chars(text + 1, text + sizeof(text) - 2, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out_->append(text, static_cast<size_t>(end - text));
}

void RespWriter::simple(std::string_view text) {
  out_->push_back('+');
  out_->append(text);
  out_->append("\r\n");
}

void RespWriter::error(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
  out_->push_back('-');
  for (char c : text) out_->push_back(c == '\r' || c == '\n' ? ' ' : c);
  out_->append("\r\n");
}

void RespWriter::bulk(std::string_view bytes) {
  header('$', static_cast<int64_t>(bytes.size()));
  out_->append(bytes);
  out_->append("\r\n");
}

void RespWriter::real(double value) {
  char text[40];
  std::string_view shown;
  if (std::isinf(value)) {
    shown = value > 0 ? "inf" : "-inf";
  } else if (std::isnan(value)) {
    shown = "nan";
  } else {
    shown = {text, static_cast<size_t>(std::to_chars(text, text + sizeof(text), value).ptr - text)};
  }
  if (protocol_ != 3) return bulk(shown);
  out_->push_back(',');
  out_->append(shown);
  out_->append("\r\n");
}

void RespWriter::verbatim(std::string_view text) {
  if (protocol_ != 3) return bulk(text);
  header('=', static_cast<int64_t>(text.size() + 4));
  out_->append("txt:");
  out_->append(text);
  out_->append("\r\n");
}

}  // namespace cartwheel::resp
