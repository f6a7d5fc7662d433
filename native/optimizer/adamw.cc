#include "optimizer/adamw.h"

#include <cmath>

namespace alignlab {

double GradientNorm(Model& model) {
  Parameters& p = model.parameters();
  if (!p.has_gradients()) return 0;
  const Backend& backend = model.backend();
  return std::sqrt(backend.ops.sum_squares(backend.device, p.gradients(), p.elements()));
}

double AdamWStep(Model& model, const AdamWSettings& s) {
  Parameters& p = model.parameters();
  if (!p.trainable() || !p.has_gradients())
    throw Error("OPTION_INVALID",
                "There are no gradients to step along. Call forward() and "
                "backward() on a trainable model first.");
  const double norm = GradientNorm(model);
  if (!std::isfinite(norm)) {
    p.ClearGradients();
    throw Error("NON_FINITE",
                "The gradient norm is not finite; the step was left out and the "
                "gradients were cleared. Lower the learning rate or look for "
                "overflowing coefficients.");
  }
  // As torch.nn.utils.clip_grad_norm_: max / (norm + 1e-6), at most 1.
  const double clip = s.max_grad_norm > 0 ? std::fmin(1.0, s.max_grad_norm / (norm + 1e-6)) : 1.0;
  const int64_t step = model.step() + 1;
  const Backend& backend = model.backend();
  float *g = p.gradients(), *m = p.moment1(), *v = p.moment2();
  for (size_t i = 0; i < p.slots().size(); ++i) {
    const Slot& slot = p.slots()[i];
    const bool decays = i < s.decays.size() && s.decays[i];
    AdamWArgs args{nullptr,
                   g + slot.offset,
                   m + slot.offset,
                   v + slot.offset,
                   slot.elements,
                   s.lr,
                   s.beta1,
                   s.beta2,
                   s.eps,
                   decays ? s.weight_decay : 0.0f,
                   float(clip),
                   float(1 - std::pow(double(s.beta1), double(step))),
                   float(1 - std::pow(double(s.beta2), double(step)))};
    if (p.is_split(slot)) {
      backend.ops.adamw_split(backend.device, args, p.Split(slot));
    } else {
      args.w = p.Floats(slot);
      backend.ops.adamw(backend.device, args);
    }
  }
  model.set_step(step);
  model.WeightsChanged();
  return norm;
}

}  // namespace alignlab
