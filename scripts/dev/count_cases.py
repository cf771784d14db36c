"""Counts test cases: count_cases.py DIRECTORY CTEST_STATUS prints "PASSED FAILED".

Sums the GoogleTest JSON results in DIRECTORY and the summaries of Node's test runner (*.tap). A ctest run that failed
without a failed case (a crash, a time-out) counts as one failure.
"""
import json
import pathlib
import re
import sys

directory, status = pathlib.Path(sys.argv[1]), int(sys.argv[2])
passed = failed = 0
for path in directory.glob("*.json"):
    result = json.loads(path.read_text())
    failed += result["failures"]
    passed += result["tests"] - result["failures"] - result["disabled"]
for path in directory.glob("*.tap"):
    text = path.read_text()
    passed += sum(map(int, re.findall(r"^# pass (\d+)", text, re.M)))
    failed += sum(map(int, re.findall(r"^# fail (\d+)", text, re.M)))
if status != 0 and failed == 0:
    failed = 1
print(passed, failed)
