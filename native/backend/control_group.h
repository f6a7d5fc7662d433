// What its control groups grant this process (containers: docker --cpus and --memory, limits of
// Kubernetes), by the files of Linux, versions 1 and 2. A machine says what it has, and stops or
// ends who takes more than was granted.
#pragma once

#include <string>

namespace alignlab {

class ControlGroups {
 public:
  ControlGroups();  // of this process
  // `groups` is as /proc/self/cgroup, `mount` the folder that is in place of /sys/fs/cgroup.
  ControlGroups(std::string groups, std::string mount);

  // Processors' worth of time; infinity without a limit.
  double Processors() const;
  // Bytes that may be taken yet, those of files in memory, which give way, among them; infinity
  // without a limit.
  double BytesLeft() const;

 private:
  template <class F>
  double Least(const char* controller, const F& of) const;

  std::string groups_, mount_;
};

}  // namespace alignlab
