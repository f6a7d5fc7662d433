#include "backend/control_group.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <utility>

namespace alignlab {

namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The number that the file begins with; infinity for "max", a negative one, or no file.
double ReadNumber(const std::string& path) {
  std::ifstream file(path);
  double value = 0;
  return file >> value && value >= 0 ? value : kNoLimit;
}

// Bytes of files in memory, by lines such as "inactive_file 4096"; version 1 has a total with what
// is below it.
double FileBytes(const std::string& folder) {
  std::ifstream file(folder + "/memory.stat");
  double own = 0, total = 0, value = 0;
  for (std::string name; file >> name >> value;) {
    if (name == "inactive_file" || name == "active_file") own += value;
    if (name == "total_inactive_file" || name == "total_active_file") total += value;
  }
  return std::max(own, total);
}

double BytesLeftIn(const std::string& folder, const char* limit, const char* usage) {
  const double most = ReadNumber(folder + limit), used = ReadNumber(folder + usage);
  if (most == kNoLimit || used == kNoLimit) return kNoLimit;
  return std::max(0.0, most - std::max(0.0, used - FileBytes(folder)));
}

// Of microseconds in each period.
double ProcessorsIn(const std::string& folder) {
  double time = ReadNumber(folder + "/cpu.cfs_quota_us");
  double period = ReadNumber(folder + "/cpu.cfs_period_us");
  std::ifstream both(folder + "/cpu.max");  // version 2: "150000 100000", "max 100000"
  double first, second;
  if (both >> first >> second) {
    time = first;
    period = second;
  }
  return time > 0 && period > 0 && period < kNoLimit ? time / period : kNoLimit;
}

bool Has(const std::string& controllers, const std::string& name) {
  std::istringstream list(controllers);
  for (std::string each; std::getline(list, each, ',');)
    if (each == name) return true;
  return false;
}

}  // namespace

ControlGroups::ControlGroups() : ControlGroups(ReadText("/proc/self/cgroup"), "/sys/fs/cgroup") {}
ControlGroups::ControlGroups(std::string groups, std::string mount)
    : groups_(std::move(groups)), mount_(std::move(mount)) {}

// The least of of(folder) over the group with this controller and those above it. A line of groups
// is hierarchy:controllers:path, in version 2 without controllers.
template <class F>
double ControlGroups::Least(const char* controller, const F& of) const {
  double least = kNoLimit;
  std::istringstream lines(groups_);
  for (std::string number, controllers, path; std::getline(lines, number, ':') &&
                                              std::getline(lines, controllers, ':') &&
                                              std::getline(lines, path);) {
    if (!controllers.empty() && !Has(controllers, controller)) continue;
    const std::string root = mount_ + (controllers.empty() ? "" : "/" + controllers);
    // In a container the path may be the host's, and the mounted root the container's own group.
    for (;;) {
      least = std::min(least, of(root + path));
      const size_t slash = path.rfind('/');
      if (slash == std::string::npos) break;
      path.resize(slash);
    }
  }
  return least;
}

double ControlGroups::Processors() const { return Least("cpu", ProcessorsIn); }

double ControlGroups::BytesLeft() const {
  return Least("memory", [](const std::string& folder) {
    return std::min(BytesLeftIn(folder, "/memory.max", "/memory.current"),
                    BytesLeftIn(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes"));
  });
}

}  // namespace alignlab
