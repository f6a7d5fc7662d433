// Embed and EmbedBackward by definition. `panel` is the backend's panel width.
#pragma once

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

inline void Embed(const EmbedArgs& args, int64_t panel = panel_width) {
  for (int64_t r = 0; r < args.count; ++r)
    for (int64_t c = 0; c < args.table.in; ++c) {
      const double before = args.accumulate ? Value(args.out, r, c) : 0;
      const double entry = WeightValue(args.table, args.ids[r], c, args.panels ? panel : 1);
      SetValue(args.out, r, c, before + entry);
    }
}

inline void EmbedBackward(const EmbedBackwardArgs& args, int64_t panel = panel_width) {
  for (int64_t r = 0; r < args.count; ++r)
    for (int64_t c = 0; c < args.d_table.in; ++c) {
      const int64_t at = WeightIndex(args.d_table, args.ids[r], c, args.panels ? panel : 1);
      args.d_table.f32()[at] += float(Value(args.d_out, r, c));
    }
}

}  // namespace alignlab::reference
