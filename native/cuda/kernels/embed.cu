// Embed, EmbedBackward. With panels of one row both layouts of a table are the same: rows of
// WeightElements(dtype, 1, D, 1) elements.
#include <vector>

#include "cuda/columns.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

template <class T, bool kWide>
__global__ void EmbedRows(RowGrid at, const int32_t* ids, const T* table, int64_t table_stride,
                          float* out, int64_t out_stride, bool accumulate) {
  const int64_t row = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  float* to = out + row * out_stride + c;
  Four entry = LoadFour<kWide>(table + ids[row] * table_stride + c, left);
  if (accumulate) {
    const Four before = LoadFour<kWide>(to, left);
    for (int i = 0; i < 4; ++i) entry.v[i] = before.v[i] + entry.v[i];
  }
  StoreFour<kWide>(to, left, entry);
}

// One row of the grid for each distinct id; its rows of d_out, ascending, are added one by one.
template <bool kWide>
__global__ void AddToTable(RowGrid at, const int32_t* ids, const int32_t* begins,
                           const int32_t* rows, const float* d_out, int64_t stride,
                           float* d_table) {
  const int64_t which = at.Row(), c = at.Column(), left = at.cols - c;
  if (left <= 0) return;
  float* to = d_table + ids[which] * at.cols + c;
  Four sum = LoadFour<kWide>(to, left);
  for (int32_t i = begins[which]; i < begins[which + 1]; ++i) {
    const Four d = LoadFour<kWide>(d_out + rows[i] * stride + c, left);
    for (int j = 0; j < 4; ++j) sum.v[j] += d.v[j];
  }
  StoreFour<kWide>(to, left, sum);
}

// The rows of each distinct id: rows[begins[i]] .. rows[begins[i + 1] - 1] have ids[i].
struct RowsOfIds {
  std::vector<int32_t> ids, begins, rows;

  RowsOfIds(const int32_t* id_of_row, int64_t count, int64_t table_rows)
      : rows(static_cast<size_t>(count)) {
    std::vector<int32_t> next(static_cast<size_t>(table_rows));
    for (int64_t r = 0; r < count; ++r) ++next[size_t(id_of_row[r])];
    int32_t begin = 0;
    for (int64_t id = 0; id < table_rows; ++id) {
      const int32_t times = next[size_t(id)];
      next[size_t(id)] = begin;
      if (times == 0) continue;
      ids.push_back(int32_t(id));
      begins.push_back(begin);
      begin += times;
    }
    begins.push_back(begin);
    for (int64_t r = 0; r < count; ++r) rows[size_t(next[size_t(id_of_row[r])]++)] = int32_t(r);
  }
};

}  // namespace

void Embed(void* device, const EmbedArgs& args) {
  const Operation op(device);
  const RowGrid at(args.count, args.table.in);
  const int64_t stride = WeightElements(args.table.dtype, 1, args.table.in, 1);
  const Tensor table{args.table.data, args.table.dtype, args.table.out, args.table.in, stride};
  const int32_t* ids = op->Stage(args.ids, args.count);
  WithElements(table, [&](auto* entries) {
    using T = std::remove_pointer_t<decltype(entries)>;
    WithFlag(IsWide(table) && IsWide(args.out), [&](auto wide) {
      Launch(op.device(), EmbedRows<T, wide()>, at.grid(), RowGrid::kThreads, 0, at, ids, entries,
             stride, args.out.f32(), args.out.stride, args.accumulate);
    });
  });
}

void EmbedBackward(void* device, const EmbedBackwardArgs& args) {
  const Operation op(device);
  const RowsOfIds of(args.ids, args.count, args.d_table.out);
  const auto distinct = int64_t(of.ids.size());
  const RowGrid at(distinct, args.d_table.in);
  const int32_t* ids = op->Stage(of.ids.data(), distinct);
  const int32_t* begins = op->Stage(of.begins.data(), distinct + 1);
  const int32_t* rows = op->Stage(of.rows.data(), args.count);
  WithFlag(IsWide(args.d_out) && IsWide(args.d_table.data, 4), [&](auto wide) {
    Launch(op.device(), AddToTable<wide()>, at.grid(), RowGrid::kThreads, 0, at, ids, begins, rows,
           args.d_out.f32(), args.d_out.stride, args.d_table.f32());
  });
}

}  // namespace alignlab::cuda
