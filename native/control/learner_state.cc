// A learner's state as bytes: a fingerprint of what it must fit, then per member the counters, the
// flat arrays and the simulated transitions. Little-endian, as every processor that this runs on.
#include <cstring>

#include "control/learner.h"
#include "error.h"

namespace alignlab {

namespace {

constexpr char kMagic[8] = {'A', 'L', 'C', 'T', 'R', 'L', '0', '1'};

constexpr int64_t kLeftOut = -1;  // as a number of transitions

class Writer {
 public:
  void Bytes(const void* data, size_t size) { out.append(static_cast<const char*>(data), size); }
  void Number(int64_t x) { Bytes(&x, sizeof x); }
  // Room for `size` bytes more.
  char* Room(size_t size) {
    out.resize(out.size() + size);
    return out.data() + out.size() - size;
  }
  std::string out;
};

// Reads what a Writer wrote; refuses to go past the end.
class Reader {
 public:
  Reader(const char* data, size_t size) : at_(data), left_(size) {}
  const char* Take(size_t size) {
    if (size > left_)
      throw Error("DATA_INVALID",
                  "The saved state of a learner ends too early: the file was cut short. "
                  "Use an earlier one.");
    const char* piece = at_;
    at_ += size;
    left_ -= size;
    return piece;
  }
  int64_t Number() {
    int64_t x;
    std::memcpy(&x, Take(sizeof x), sizeof x);
    return x;
  }
  size_t left() const { return left_; }

 private:
  const char* at_;
  size_t left_;
};

// The blocks of one member, found before anything is written.
struct MemberState {
  int64_t step, acts, size, position;
  const char *weights, *target, *moment1, *moment2, *rows;
};

}  // namespace

std::string ControlLearner::Fingerprint() const {
  const ControlSettings& s = shared_.settings;
  Writer w;
  for (int64_t x : {int64_t(s.algorithm), s.state_size, s.action_size, s.sim_capacity,
                    backend_.panel, shared_.layout.total, real_.size(), int64_t(s.hidden.size())})
    w.Number(x);
  for (int64_t x : s.hidden) w.Number(x);
  for (int64_t x : s.discriminators.hidden) w.Number(x);
  for (uint64_t x : s.seeds) w.Number(int64_t(x));
  return std::move(w.out);
}

std::string ControlLearner::State(bool transitions) const {
  Writer w;
  w.Bytes(kMagic, sizeof kMagic);
  const std::string fingerprint = Fingerprint();
  w.Number(int64_t(fingerprint.size()));
  w.Bytes(fingerprint.data(), fingerprint.size());
  const size_t all = size_t(shared_.layout.total) * 4;
  const size_t critics = size_t(shared_.layout.critics_end - shared_.layout.critics_begin) * 4;
  const size_t row = size_t(shared_.shape.width()) * 4;
  const auto keep = [&](const float* from, size_t bytes) {
    ComputeOn(single_thread_).CopyOut(w.Room(bytes), from, int64_t(bytes));
  };
  for (const auto& m : members_) {
    const int64_t size = transitions ? m->sim().size() : kLeftOut;
    for (int64_t x : {m->step, m->acts, size, m->sim().position()}) w.Number(x);
    keep(m->parameters(), all);
    keep(m->target(), critics);
    keep(m->moment1(), all);
    keep(m->moment2(), all);
    if (size > 0) m->sim().CopyOut(reinterpret_cast<float*>(w.Room(size_t(size) * row)));
  }
  return std::move(w.out);
}

void ControlLearner::Restore(const char* bytes, size_t size) {
  Reader r(bytes, size);
  const std::string fingerprint = Fingerprint();
  if (size < sizeof kMagic || std::memcmp(r.Take(sizeof kMagic), kMagic, sizeof kMagic) != 0)
    throw Error("DATA_INVALID", "These bytes are not the saved state of a learner.");
  if (r.Number() != int64_t(fingerprint.size()) ||
      std::memcmp(r.Take(fingerprint.size()), fingerprint.data(), fingerprint.size()) != 0)
    throw Error("DATA_INVALID",
                "The saved state is of a learner with another algorithm, other sizes, seeds or "
                "real data, or on another kind of device. Restore it into one that was made with "
                "the same options.");
  const size_t all = size_t(shared_.layout.total) * 4;
  const size_t critics = size_t(shared_.layout.critics_end - shared_.layout.critics_begin) * 4;
  const size_t row = size_t(shared_.shape.width()) * 4;
  std::vector<MemberState> states;
  for (const auto& m : members_) {
    MemberState s;
    s.step = r.Number();
    s.acts = r.Number();
    s.size = r.Number();
    s.position = r.Number();
    if (s.size < kLeftOut || s.size > m->sim().capacity() || s.position < 0 ||
        s.position >= m->sim().capacity())
      throw Error("DATA_INVALID", "The saved state of a learner is damaged. Use an earlier one.");
    s.weights = r.Take(all);
    s.target = r.Take(critics);
    s.moment1 = r.Take(all);
    s.moment2 = r.Take(all);
    s.rows = s.size > 0 ? r.Take(size_t(s.size) * row) : nullptr;
    states.push_back(s);
  }
  if (r.left() > 0)
    throw Error("DATA_INVALID",
                "The saved state of a learner has bytes behind its end: it is "
                "damaged. Use an earlier one.");
  for (size_t i = 0; i < states.size(); ++i) {
    ControlMember& m = *members_[i];
    const MemberState& s = states[i];
    if (s.size != kLeftOut)
      m.sim().Restore(s.size, s.position, reinterpret_cast<const float*>(s.rows));
    m.step = s.step;
    m.acts = s.acts;
    const Compute compute = ComputeOn(single_thread_);
    compute.CopyIn(m.parameters(), s.weights, int64_t(all));
    compute.CopyIn(m.target(), s.target, int64_t(critics));
    compute.CopyIn(m.moment1(), s.moment1, int64_t(all));
    compute.CopyIn(m.moment2(), s.moment2, int64_t(all));
  }
}

}  // namespace alignlab
