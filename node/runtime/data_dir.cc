#include "node/runtime/data_dir.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

namespace cartwheel::node {

namespace {

std::vector<std::string> identity_lines(const ClusterConfig& config, NodeIndex self) {
  return {"cluster=" + config.name, "node=" + config.nodes[self].name, "stripes=" + std::to_string(config.stripes),
          "partitions=" + std::to_string(config.partitions)};
}

Status io_error(const std::string& what) {
  return Status::Io(what + ": " + std::strerror(errno));
}

Status sync_path(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return io_error(path);
  const bool ok = fsync(fd) == 0;
  Status status = ok ? Status() : io_error(path);
  ::close(fd);
  return status;
}

}  // namespace

Status check_data_dir(const std::string& directory, const ClusterConfig& config, NodeIndex self) {
  const std::string path = directory + "/IDENTITY";
  std::ifstream file(path);
  if (!file) return {};
  for (const std::string& expected : identity_lines(config, self)) {
    std::string found;
    std::getline(file, found);
    if (found != expected) {
      return Status::InvalidArgument(path + " says '" + found + "', the cluster file and the command line say '" +
                                     expected + "': this directory holds other data");
    }
  }
  return {};
}

Status claim_data_dir(const std::string& directory, const ClusterConfig& config, NodeIndex self) {
  if (access((directory + "/IDENTITY").c_str(), F_OK) == 0) return {};
  std::string content;
  for (const std::string& line : identity_lines(config, self)) content += line + "\n";
  return replace_file(directory, "IDENTITY", content);
}

Status replace_file(const std::string& directory, const std::string& name, const std::string& content) {
  const std::string path = directory + "/" + name, temporary = path + ".new";
  {
    std::ofstream file(temporary, std::ios::trunc | std::ios::binary);
    file << content;
    file.flush();
    if (!file) return io_error(temporary);
  }
  RETURN_IF_ERROR(sync_path(temporary, O_RDONLY));
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return io_error(path);
  return sync_path(directory, O_RDONLY | O_DIRECTORY);
}

}  // namespace cartwheel::node
