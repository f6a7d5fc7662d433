#include "cuda/step_notes.h"

#include <cstring>
#include <utility>

#include "error.h"

namespace alignlab::cuda {

void StepNotes::Begin(int32_t branches) {
  End();
  open_ = true;
  step_.Clear(branches);
}

// What the step reads of the host goes first, in as few copies as there are pieces. The rooms are
// free again when nothing has to be read from them or written to them any more.
void StepNotes::Run() {
  Check(open_, "a step was begun");
  runtime_.Select();
  for (const Upload& upload : uploads_) runtime_.CopyIn(upload.data, upload.pinned, upload.bytes);
  graph_.Run(step_.Join(joined_) ? joined_ : step_);
  if (!uploads_.empty() || !deliveries_.empty()) runtime_.Synchronize();
  for (const Delivery& delivery : std::exchange(deliveries_, {})) delivery.take(delivery.host);
  End();
}

void StepNotes::End() {
  open_ = false;
  step_.Clear();
  uploads_.clear();
  deliveries_.clear();
  for (Array& array : arrays_) array = {};
  staged_.Reset();
  pinned_.Reset();
}

void* StepNotes::Stage(const void* host, size_t bytes) {
  auto* pinned = static_cast<char*>(pinned_.Take(bytes));
  auto* data = static_cast<char*>(staged_.Take(bytes));
  std::memcpy(pinned, host, bytes);
  const size_t whole = Aligned(bytes);
  Upload* last = uploads_.empty() ? nullptr : &uploads_.back();
  if (last && last->data + last->bytes == data && last->pinned + last->bytes == pinned)
    last->bytes += whole;
  else
    uploads_.push_back({data, pinned, whole});
  return data;
}

void* StepNotes::StageBatch(BatchArray which, uint64_t batch, const void* host, size_t bytes) {
  Array& array = arrays_[int(which)];
  if (array.batch != batch) array = {batch, Stage(host, bytes)};
  return array.data;
}

const void* StepNotes::Kept(BatchArray which, uint64_t batch) const {
  const Array& array = arrays_[int(which)];
  return batch != 0 && array.batch == batch ? array.data : nullptr;
}

void StepNotes::Deliver(const void* data, size_t bytes, Take take) {
  void* host = pinned_.Take(bytes);
  staged_.Take(bytes);  // both rooms hand out the same places
  step_.AddCopy(host, data, bytes);
  deliveries_.push_back({host, std::move(take)});
}

}  // namespace alignlab::cuda
