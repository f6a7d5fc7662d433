// What control groups grant, versions 1 and 2, from folders like theirs.
#include "backend/control_group.h"

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "test/check.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

namespace fs = std::filesystem;

// A folder in place of /sys/fs/cgroup.
class Mount {
 public:
  Mount() { fs::create_directories(path_); }
  ~Mount() { fs::remove_all(path_); }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  void Write(const std::string& file, const std::string& text) {
    fs::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  double Processors(const std::string& groups) const {
    return ControlGroups(groups, path_.string()).Processors();
  }
  double BytesLeft(const std::string& groups) const {
    return ControlGroups(groups, path_.string()).BytesLeft();
  }

 private:
  fs::path path_ = fs::temp_directory_path() / ("alignlab-cgroup-" + std::to_string(getpid()));
};

void TestProcessors2() {
  Mount mount;
  EXPECT(std::isinf(mount.Processors("0::/\n")));
  mount.Write("cpu.max", "max 100000\n");
  EXPECT(std::isinf(mount.Processors("0::/\n")));
  mount.Write("cpu.max", "150000 100000\n");
  EXPECT(mount.Processors("0::/\n") == 1.5);
  // The least of the group's and of those above it.
  mount.Write("a/cpu.max", "max 100000\n");
  mount.Write("a/b/cpu.max", "400000 100000\n");
  EXPECT(mount.Processors("0::/a/b\n") == 1.5);
  mount.Write("a/cpu.max", "50000 100000\n");
  EXPECT(mount.Processors("0::/a/b\n") == 0.5);
  EXPECT(mount.Processors("0::/elsewhere\n") == 1.5);
}

void TestProcessors1() {
  Mount mount;
  const std::string groups = "9:name=systemd:/x\n4:memory:/x\n2:cpu,cpuacct:/x\n1:cpuset:/\n";
  EXPECT(std::isinf(mount.Processors(groups)));
  mount.Write("cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
  mount.Write("cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
  EXPECT(std::isinf(mount.Processors(groups)));
  mount.Write("cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n");
  EXPECT(mount.Processors(groups) == 2.5);
  // The path of the host, in a container that sees only its own group.
  mount.Write("cpu,cpuacct/cpu.cfs_quota_us", "100000\n");
  mount.Write("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT(mount.Processors("2:cpu,cpuacct:/docker/0123\n") == 1);
  EXPECT(std::isinf(mount.Processors("2:cpuacct:/\n")));
}

void TestMemory() {
  Mount mount;
  EXPECT(std::isinf(mount.BytesLeft("0::/\n")));
  mount.Write("memory.max", "max\n");
  mount.Write("memory.current", "700\n");
  EXPECT(std::isinf(mount.BytesLeft("0::/\n")));
  mount.Write("memory.max", "1000\n");
  EXPECT(mount.BytesLeft("0::/\n") == 300);
  mount.Write("memory.stat", "anon 100\ninactive_file 150\nfile 200\nactive_file 50\n");
  EXPECT(mount.BytesLeft("0::/\n") == 500);
  mount.Write("memory.current", "1300\n");
  EXPECT(mount.BytesLeft("0::/\n") == 0);

  const std::string groups = "4:memory:/x\n0::/y\n";
  mount.Write("memory.max", "max\n");
  mount.Write("memory/x/memory.limit_in_bytes", "5000\n");
  mount.Write("memory/x/memory.usage_in_bytes", "2000\n");
  EXPECT(mount.BytesLeft(groups) == 3000);
  mount.Write("memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 600\n");
  EXPECT(mount.BytesLeft(groups) == 3600);
}

void TestNonsense() {
  Mount mount;
  for (const char* text : {"", "0 100000", "100000", "-5 100000", "100000 0", "much more"}) {
    mount.Write("cpu.max", text);
    EXPECT(std::isinf(mount.Processors("0::/\n")));
  }
  for (const char* groups : {"", "no colons\n", "0::\n"})
    EXPECT(std::isinf(mount.Processors(groups)) && std::isinf(mount.BytesLeft(groups)));
}

}  // namespace

int main() {
  TestProcessors2();
  TestProcessors1();
  TestMemory();
  TestNonsense();
  EXPECT(ControlGroups().Processors() > 0 && ControlGroups().BytesLeft() > 0);
  return Report();
}
