#include "model/tensor_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "model/float_formats.h"

namespace alignlab {

int64_t TensorRange::elements() const {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

namespace {

[[noreturn]] void ThrowIo(const std::string& doing, const std::string& path) {
  throw Error("IO_FAILED", doing + " " + path + " failed: " + std::strerror(errno) +
                               ". Look at the disk's free space and the file's permissions.");
}

// Files are read and not mapped: one that another process cuts off in the meantime is an early end
// here, and SIGBUS in a mapping, which a library cannot turn into an error. It costs no time, since
// values are converted on the way in any case.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : path_(path) {
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) ThrowIo("Opening", path);
    posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  ~InputFile() { close(fd_); }
  InputFile(const InputFile&) = delete;

  void Read(const TensorRange& range, uint64_t begin, uint64_t bytes, char* to) const {
    while (bytes > 0) {
      const ssize_t n = pread(fd_, to, bytes, off_t(range.begin + begin));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) ThrowIo("Reading", path_);
      if (n == 0)
        throw Error("CHECKPOINT_INVALID", "The file " + path_ + " ends before tensor " +
                                              range.name +
                                              " does. It was cut short: copy it again.");
      to += n;
      begin += uint64_t(n);
      bytes -= uint64_t(n);
    }
  }

 private:
  std::string path_;
  int fd_;
};

constexpr int64_t kChunk = 1 << 16;  // elements on their way from or to a file

// A tensor's elements, asked for in ascending order.
template <DType dtype>
class Elements {
 public:
  Elements(const TensorRange& range, const InputFile& file)
      : range_(range), file_(file), total_(range.elements()), chunk_(kChunk * SizeOf(dtype)) {}

  // At most `wanted` elements from `index` on, without a break.
  struct Piece {
    const char* data;
    int64_t count;
  };
  Piece From(int64_t index, int64_t wanted) {
    if (index >= end_) {
      begin_ = end_;
      end_ = std::min(begin_ + kChunk, total_);
      file_.Read(range_, uint64_t(begin_) * SizeOf(dtype), uint64_t(end_ - begin_) * SizeOf(dtype),
                 chunk_.data());
    }
    return {chunk_.data() + (index - begin_) * int64_t(SizeOf(dtype)),
            std::min(wanted, end_ - index)};
  }

 private:
  const TensorRange& range_;
  const InputFile& file_;
  int64_t total_, begin_ = 0, end_ = 0;
  std::vector<char> chunk_;
};

// Calls visit(index in the file, row, col, count, row step, col step) for each innermost run.
template <class Visit>
void ForEachRun(const TensorRange& range, const Slot& slot, const Visit& visit) {
  const size_t inner = range.dims.size() - 1;
  const int64_t count = range.dims[inner], stride = range.strides[inner];
  const int64_t runs = count ? range.elements() / count : 0;
  std::vector<int64_t> index(inner, 0);
  for (int64_t run = 0; run < runs; ++run) {
    int64_t at = range.offset;
    for (size_t k = 0; k < inner; ++k) at += index[k] * range.strides[k];
    visit(run * count, at / slot.cols, at % slot.cols, count, stride / slot.cols,
          stride % slot.cols);
    for (size_t k = inner; k-- > 0 && ++index[k] == range.dims[k];) index[k] = 0;
  }
}

// All elements must fall inside the slot; the table comes from TypeScript.
void CheckRange(const TensorRange& range, const std::vector<Slot>& slots) {
  Check(range.slot >= 0 && size_t(range.slot) < slots.size(), "tensor range: slot");
  Check(!range.dims.empty() && range.dims.size() == range.strides.size(), "tensor range: dims");
  const Slot& slot = slots[size_t(range.slot)];
  int64_t last = range.offset;
  for (size_t k = 0; k < range.dims.size(); ++k) {
    Check(range.dims[k] > 0 && range.strides[k] >= 0, "tensor range: sizes");
    last += (range.dims[k] - 1) * range.strides[k];
  }
  Check(range.offset >= 0 && last < slot.rows * slot.cols, "tensor range: inside of the slot");
}

struct Destination {
  float* flat;  // of one slot
  int64_t panel;
};

// Returns whether every value is finite.
template <DType dtype>
bool Scatter(const TensorRange& range, const Slot& slot, const InputFile& file, Destination to) {
  Elements<dtype> from(range, file);
  bool finite = true;
  ForEachRun(range, slot,
             [&](int64_t first, int64_t row, int64_t col, int64_t count, int64_t row_step,
                 int64_t col_step) {
               for (int64_t done = 0; done < count;) {
                 const auto piece = from.From(first + done, count - done);
                 for (int64_t i = 0; i < piece.count; ++i, row += row_step, col += col_step) {
                   const float x = FloatFormat<dtype>::Read(piece.data, i);
                   finite &= IsFinite(x);
                   to.flat[slot.Index(row, col, to.panel)] = x;
                 }
                 done += piece.count;
               }
             });
  return finite;
}

void ReadOne(const TensorRange& range, const Slot& slot, const InputFile& file, Destination to) {
  const bool finite = range.dtype == DType::kF32    ? Scatter<DType::kF32>(range, slot, file, to)
                      : range.dtype == DType::kBF16 ? Scatter<DType::kBF16>(range, slot, file, to)
                                                    : Scatter<DType::kF16>(range, slot, file, to);
  if (!finite)
    throw Error("NON_FINITE", "Tensor " + range.name + " in " + range.path +
                                  " holds values that are not finite. The checkpoint is damaged "
                                  "or the run that wrote it had diverged: take an earlier one.");
}

float* FlatBuffer(Parameters& p, TensorSet set) {
  switch (set) {
    case TensorSet::kWeights:
      break;
    case TensorSet::kGradients:
      return p.gradients();
    case TensorSet::kMoment1:
      return p.moment1();
    case TensorSet::kMoment2:
      return p.moment2();
  }
  return nullptr;
}

// One slot between the model, whose weights may be stored split and on a device, and a room in the
// host's memory.
void Fetch(Model& model, TensorSet set, const Slot& slot, const Buffer& room) {
  Parameters& p = model.parameters();
  const Backend& backend = model.backend();
  if (set == TensorSet::kWeights)
    p.Read(slot, room.f32());
  else
    backend.memory.copy_out(backend.device, room.data(), FlatBuffer(p, set) + slot.offset,
                            room.bytes());
}

void Put(Model& model, TensorSet set, const Slot& slot, const Buffer& room) {
  Parameters& p = model.parameters();
  const Backend& backend = model.backend();
  if (set == TensorSet::kWeights)
    p.Write(slot, room.f32());
  else
    backend.memory.copy_in(backend.device, FlatBuffer(p, set) + slot.offset, room.data(),
                           room.bytes());
}

Slot AtTheStart(Slot slot) {
  slot.offset = 0;
  return slot;
}

}  // namespace

void ReadTensors(Model& model, TensorSet set, const std::vector<TensorRange>& ranges,
                 const CancelToken& cancel) {
  Parameters& p = model.parameters();
  const int64_t panel = model.backend().panel;
  for (const TensorRange& range : ranges) CheckRange(range, p.slots());
  std::map<std::string, std::unique_ptr<InputFile>> files;
  const auto file_of = [&](const TensorRange& range) -> const InputFile& {
    auto& file = files[range.path];
    if (!file) file = std::make_unique<InputFile>(range.path);
    return *file;
  };
  std::map<int32_t, std::vector<const TensorRange*>> by_slot;
  for (const TensorRange& range : ranges) by_slot[range.slot].push_back(&range);
  for (const auto& [index, parts] : by_slot) {
    cancel.ThrowIfCancelled();
    const Slot& slot = p.slots()[size_t(index)];
    const Buffer room(size_t(slot.elements) * 4, "reading " + slot.name);
    for (const TensorRange* range : parts)
      ReadOne(*range, AtTheStart(slot), file_of(*range), {room.f32(), panel});
    Put(model, set, slot, room);
  }
  if (set == TensorSet::kWeights) model.WeightsChanged();
}

namespace {

class OutputFile {
 public:
  explicit OutputFile(const std::string& path) : path_(path) {
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) ThrowIo("Creating", path);
  }
  ~OutputFile() { Close(); }
  OutputFile(const OutputFile&) = delete;

  void Write(const char* data, size_t bytes) {
    while (bytes > 0) {
      const ssize_t n = write(fd_, data, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) ThrowIo("Writing", path_);
      data += n;
      bytes -= size_t(n);
    }
  }
  void Finish() {
    if (fsync(fd_) != 0) ThrowIo("Flushing", path_);
    if (Close() != 0) ThrowIo("Closing", path_);
  }

 private:
  int Close() { return fd_ < 0 ? 0 : close(std::exchange(fd_, -1)); }
  std::string path_;
  int fd_ = -1;
};

template <DType dtype>
void Gather(const TensorRange& range, const Slot& slot, const float* flat, int64_t panel,
            OutputFile& file) {
  std::vector<char> chunk(size_t(kChunk) * SizeOf(dtype));
  int64_t used = 0;
  ForEachRun(
      range, slot,
      [&](int64_t, int64_t row, int64_t col, int64_t count, int64_t row_step, int64_t col_step) {
        for (int64_t i = 0; i < count; ++i, row += row_step, col += col_step) {
          FloatFormat<dtype>::Write(chunk.data(), used++, flat[slot.Index(row, col, panel)]);
          if (used < kChunk) continue;
          file.Write(chunk.data(), chunk.size());
          used = 0;
        }
      });
  file.Write(chunk.data(), size_t(used) * SizeOf(dtype));
}

}  // namespace

void WriteTensors(Model& model, TensorSet set, const std::vector<TensorRange>& ranges,
                  const std::string& path, const std::string& header, const CancelToken& cancel) {
  Parameters& p = model.parameters();
  const int64_t panel = model.backend().panel;
  for (const TensorRange& range : ranges) CheckRange(range, p.slots());
  OutputFile file(path);
  file.Write(header.data(), header.size());
  Buffer room;
  int32_t in_room = -1;
  for (const TensorRange& range : ranges) {
    cancel.ThrowIfCancelled();
    const Slot slot = AtTheStart(p.slots()[size_t(range.slot)]);
    if (in_room != range.slot) {
      room = Buffer(size_t(slot.elements) * 4, "writing " + slot.name);
      Fetch(model, set, p.slots()[size_t(range.slot)], room);
      in_room = range.slot;
    }
    const float* flat = room.f32();
    if (range.dtype == DType::kF32)
      Gather<DType::kF32>(range, slot, flat, panel, file);
    else if (range.dtype == DType::kBF16)
      Gather<DType::kBF16>(range, slot, flat, panel, file);
    else
      Gather<DType::kF16>(range, slot, flat, panel, file);
  }
  file.Finish();
}

}  // namespace alignlab
