// HIP-NN-TS with one interaction layer on blocks of beads: energies, and their derivatives by the pairs' vectors.
//
// For a bead i, a type t, a tensor component c and a sensitivity s, with u the unit vector to a neighbour:
//
//   E[i, c, t, s] = sum over neighbours of type t of  Y_c(u) phi_s(r),   phi_s = exp(-q^2 / 2) cos^2(pi r / 2R)
//   q = width_s (1/r - centre_s),   Y = 1 | ux, uy, uz | ux^2 - 1/3, ux uy, ux uz, uy^2 - 1/3, uy uz
//
// Everything else of a bead follows from E. Sums run with the sensitivities side by side in vectors, derivatives with
// the pairs side by side, so that neither has to add up the elements of vectors.
#ifndef CGDISTILL_NETWORK_H
#define CGDISTILL_NETWORK_H

#include "model_file.h"
#include "vectors.h"

namespace cgdistill {

/// Beads of a block.
constexpr int block_beads = 16;
/// Rows of a matrix product that are worked on together: as many sums as hide the latency of one.
constexpr int product_rows = 8;

/// The pairs of a block of beads. Row `bead * n_types + type` starts at a whole vector; what fills its rest is not used.
template <typename T> class Pairs {
 public:
  int n_types = 0, n_beads = 0, n_pairs = 0;    // pairs with what fills the rows
  std::vector<int> starts, counts, neighbour;
  array<T> y[8], inverse;               // Y_1 to Y_8, 1/r
  array<T> value, slope, spread;        // cutoff function c, dc/dr, c/r^2, for one cutoff
  array<T> gradient[3];                 // dE/d(vector)

  void clear(int types)
  {
    n_types = types;
    n_beads = n_pairs = 0;
    starts.clear();
    counts.clear();
  }

  /// Append a row of `count` pairs with these vectors, A, and neighbours; the arrays have room for a whole vector more.
  void add_row(T *x, T *y_, T *z, const int *j, int count)
  {
    for (int p = count; p < padded<T>(count); ++p) x[p] = y_[p] = z[p] = T(1);    // computed with and not used
    starts.push_back(n_pairs);
    counts.push_back(count);
    const int end = n_pairs + padded<T>(count);
    if (end > int(inverse.size())) grow(end + end / 2);
    for (int p = 0; p < count; ++p) neighbour[n_pairs + p] = j[p];
    for (int p = 0; p < count; p += lanes<T>, n_pairs += lanes<T>) {
      vec<T> dx = load(x + p), dy = load(y_ + p), dz = load(z + p);
      const vec<T> r = square_root<T>(dx * dx + dy * dy + dz * dz), over = T(1) / r;
      const vec<T> ux = dx * over, uy = dy * over, uz = dz * over;
      const vec<T> all[] = {ux, uy, uz, ux * ux - T(1) / 3, ux * uy, ux * uz, uy * uy - T(1) / 3, uy * uz};
      for (int c = 0; c < 8; ++c) store(&y[c][n_pairs], all[c]);
      store(&inverse[n_pairs], over);
    }
  }

  void set_cutoff(T cutoff)
  {
    for (int p = 0; p < n_pairs; p += lanes<T>) {
      vec<T> c, dc;
      const vec<T> over = load(&inverse[p]);
      cutoff_function<T>(T(1) / over, cutoff, c, dc);
      store(&value[p], c);
      store(&slope[p], dc);
      store(&spread[p], c * over * over);
    }
  }

  double memory_usage() const { return double(inverse.size()) * (15 * sizeof(T) + sizeof(int)); }

 private:
  void grow(int size)
  {
    size = padded<T>(size);
    for (auto &one : y) one.resize(size);
    for (auto &one : gradient) one.resize(size);
    for (auto *one : {&inverse, &value, &slope, &spread}) one->resize(size);
    neighbour.resize(size);
  }
};

/// out[r] = in[r] @ w for `rows` rows (a multiple of product_rows) of n numbers; w has n rows of `width` numbers.
template <typename T>
inline void product(T *out, int out_stride, const T *in, int in_stride, int rows, const T *w, int n, int width)
{
  for (int f = 0; f < width; f += lanes<T>)
    for (int r = 0; r < rows; r += product_rows) {
      const T *source = in + std::size_t(r) * in_stride;
      vec<T> sum[product_rows] = {};
      for (int k = 0; k < n; ++k) {
        const vec<T> weight = load(w + std::size_t(k) * width + f);
#pragma GCC unroll 8
        for (int b = 0; b < product_rows; ++b) sum[b] += weight * source[b * in_stride + k];
      }
#pragma GCC unroll 8
      for (int b = 0; b < product_rows; ++b) store(out + std::size_t(r + b) * out_stride + f, sum[b]);
    }
}

/// A matrix and its transpose, rows padded to whole vectors with zeros.
template <typename T> struct Matrix {
  int rows, columns, width, width_back;
  array<T> forward, backward;

  Matrix() = default;
  Matrix(const std::vector<double> &values, int n_rows, int n_columns) :
      rows(n_rows), columns(n_columns), width(padded<T>(n_columns)), width_back(padded<T>(n_rows)),
      forward(std::size_t(n_rows) * width), backward(std::size_t(n_columns) * width_back)
  {
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        forward[r * width + c] = backward[c * width_back + r] = T(values[std::size_t(r) * columns + c]);
  }
};

/// Rows of numbers, each padded to whole vectors with zeros.
template <typename T> array<T> padded_rows(const std::vector<double> &values, int columns)
{
  const int n = int(values.size()) / columns, width = padded<T>(columns);
  array<T> out(std::size_t(n) * width);
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < columns; ++c) out[r * width + c] = T(values[std::size_t(r) * columns + c]);
  return out;
}

template <typename T> class Network {
 public:
  const T cutoff;

  Network(const Weights &w, int types) :
      cutoff(T(w.cutoff)), order(w.tensor_order), n_types(types), n_s(w.n_sensitivities), n_f(w.n_features),
      width(padded<T>(n_f)), n_components(order == 0 ? 1 : order == 1 ? 4 : 9), n_sums(types * n_s),
      stride(padded<T>(n_sums) + lanes<T>), cusp(T(w.cusp)), centre(padded_rows<T>(w.centre, n_s)),
      shape(padded_rows<T>(shapes(w.width), n_s)),
      steepness(padded_rows<T>(squares(w.width), n_s)), interaction(w.interaction, n_sums, n_f),
      self_table(padded_rows<T>(w.self_table, n_f)), skip_table(padded_rows<T>(w.skip_table, n_f)),
      energy(padded_rows<T>(w.energy, n_f)), energy_table(w.energy_table)
  {
    for (const auto &scale : w.scales) scales.push_back(padded_rows<T>(scale, n_f));
    matrices.emplace_back(w.outer, n_f, n_f);
    biases.push_back(padded_rows<T>(w.outer_bias, n_f));
    for (const Layer &layer : w.layers) {
      matrices.emplace_back(layer.inner, n_f, n_f);
      biases.push_back(padded_rows<T>(layer.inner_bias, n_f));
      matrices.emplace_back(layer.outer, n_f, n_f);
      biases.push_back(padded_rows<T>(layer.outer_bias, n_f));
    }
    sums.resize(std::size_t(block_beads) * n_components * stride);
    features.resize(std::size_t(block_beads) * n_components * width);
    const std::size_t block = std::size_t(block_beads) * width;
    for (auto *one : {&norms[0], &norms[1], &active, &inner, &out}) one->resize(block);
    slopes.resize(block * (w.layers.size() + 1));
  }

  /// Add `weight` times the energy of each bead to `energies`, and its derivatives to the pairs' gradients.
  void evaluate(Pairs<T> &pairs, const int *types, double weight, double *energies)
  {
    if (order == 0) run<1>(pairs, types, weight, energies);
    if (order == 1) run<4>(pairs, types, weight, energies);
    if (order == 2) run<9>(pairs, types, weight, energies);
  }

  double memory_usage() const { return double(sums.size() + features.size() + slopes.size()) * sizeof(T); }

 private:
  const int order, n_types, n_s, n_f, width, n_components, n_sums, stride;
  const T cusp;
  const array<T> centre, shape, steepness;    // exp(-q^2 / 2) = 2^-(shape (1/r - centre))^2; width^2
  const Matrix<T> interaction;
  const array<T> self_table, skip_table;
  std::vector<array<T>> scales, biases;
  std::vector<Matrix<T>> matrices;
  const array<T> energy;
  const std::vector<double> energy_table;
  array<T> sums, features, norms[2], slopes, active, inner, out;    // of a block of beads

  static std::vector<double> shapes(std::vector<double> width)
  {
    for (double &one : width) one *= std::sqrt(0.5 * log2_e);
    return width;
  }

  static std::vector<double> squares(std::vector<double> width)
  {
    for (double &one : width) one *= one;
    return width;
  }

  template <int N> void run(Pairs<T> &pairs, const int *types, double weight, double *energies)
  {
    for (int bead = 0; bead < pairs.n_beads; ++bead) environment_sums<N>(pairs, bead);
    const int n = (pairs.n_beads + product_rows - 1) / product_rows * product_rows;
    product(features.data(), width, sums.data(), stride, n * N, interaction.forward.data(), n_sums, width);
    layers<N>(pairs.n_beads, n, types, weight, energies);
    product(sums.data(), stride, features.data(), width, n * N, interaction.backward.data(), n_f,
            interaction.width_back);
    for (int bead = 0; bead < pairs.n_beads; ++bead) gradients<N>(pairs, bead);
  }

  template <int N> void environment_sums(const Pairs<T> &pairs, int bead)
  {
    T *const first = &sums[std::size_t(bead) * N * stride];
    for (int type = 0; type < n_types; ++type) {
      const int row = bead * n_types + type, begin = pairs.starts[row], end = begin + pairs.counts[row];
      for (int s = 0; s < n_s; s += lanes<T>) {
        const vec<T> a = load(&centre[s]), width_s = load(&shape[s]);
        vec<T> e[N] = {};
        for (int p = begin; p < end; ++p) {
          const vec<T> q = width_s * (pairs.inverse[p] - a);
          const vec<T> phi = power_of_two<T>(-q * q) * pairs.value[p];
          e[0] += phi;
#pragma GCC unroll 8
          for (int c = 1; c < N; ++c) e[c] += phi * pairs.y[c - 1][p];
        }
        // What stands behind the last sensitivity is written over by the next type.
#pragma GCC unroll 9
        for (int c = 0; c < N; ++c) store(first + c * stride + type * n_s + s, e[c]);
      }
    }
  }

  /// From features to energies, and back: derivatives take the place of the features.
  template <int N> void layers(int count, int n, const int *types, double weight, double *energies)
  {
    const int block = block_beads * width, n_layers = (int(matrices.size()) - 1) / 2;
    for (int b = 0; b < n; ++b) {
      const T *const x = &features[std::size_t(b) * N * width], *const own = &self_table[types[b] * width];
      for (int f = 0; f < width; f += lanes<T>) {
        vec<T> sum = load(x + f) + load(own + f);
        if (N > 1) {
          const vec<T> v1 = load(x + width + f), v2 = load(x + 2 * width + f), v3 = load(x + 3 * width + f);
          const vec<T> norm = square_root<T>(v1 * v1 + v2 * v2 + v3 * v3 + cusp);
          store(&norms[0][b * width + f], norm);
          sum += norm * load(&scales[0][f]);
        }
        if (N > 4) {
          const vec<T> q0 = load(x + 4 * width + f), q1 = load(x + 5 * width + f), q2 = load(x + 6 * width + f);
          const vec<T> q3 = load(x + 7 * width + f), q4 = load(x + 8 * width + f);
          const vec<T> square = q0 * q0 + q1 * q1 + q2 * q2 + q3 * q3 + q4 * q4 + q0 * q3;
          const vec<T> norm = square_root<T>(square * T(2) + cusp);
          store(&norms[1][b * width + f], norm);
          sum += norm * load(&scales[1][f]);
        }
        activate(b * width + f, sum, 0);
      }
    }
    product(out.data(), width, active.data(), width, n, matrices[0].forward.data(), n_f, width);
    for (int b = 0; b < n; ++b)
      for (int f = 0; f < width; f += lanes<T>) {
        const int k = b * width + f;
        store(&out[k], load(&out[k]) + load(&biases[0][f]) + load(&skip_table[types[b] * width + f]));
      }
    for (int layer = 0; layer < n_layers; ++layer) {
      const int m = 1 + 2 * layer;
      product(inner.data(), width, out.data(), width, n, matrices[m].forward.data(), n_f, width);
      for (int k = 0; k < n * width; k += lanes<T>)
        activate(k, load(&inner[k]) + load(&biases[m][k % width]), (layer + 1) * block);
      product(inner.data(), width, active.data(), width, n, matrices[m + 1].forward.data(), n_f, width);
      for (int k = 0; k < n * width; k += lanes<T>)
        store(&out[k], load(&out[k]) + load(&inner[k]) + load(&biases[m + 1][k % width]));
    }
    for (int b = 0; b < n; ++b) {
      vec<T> sum = {};
      for (int f = 0; f < width; f += lanes<T>) {
        sum += load(&out[b * width + f]) * load(&energy[f]);
        store(&active[b * width + f], load(&energy[f]) * T(weight));
      }
      if (b < count) energies[b] += weight * (total<T>(sum) + energy_table[types[b]]);
    }
    // Backwards: `active` holds the derivative by what comes out of a layer.
    for (int layer = n_layers - 1; layer >= 0; --layer) {
      const int m = 1 + 2 * layer;
      product(inner.data(), width, active.data(), width, n, matrices[m + 1].backward.data(), n_f, width);
      for (int k = 0; k < n * width; k += lanes<T>)
        store(&inner[k], load(&inner[k]) * load(&slopes[(layer + 1) * block + k]));
      product(out.data(), width, inner.data(), width, n, matrices[m].backward.data(), n_f, width);
      for (int k = 0; k < n * width; k += lanes<T>) store(&active[k], load(&active[k]) + load(&out[k]));
    }
    product(inner.data(), width, active.data(), width, n, matrices[0].backward.data(), n_f, width);
    for (int b = 0; b < n; ++b) {
      T *const x = &features[std::size_t(b) * N * width];
      for (int f = 0; f < width; f += lanes<T>) {
        const int k = b * width + f;
        const vec<T> d = load(&inner[k]) * load(&slopes[k]);
        store(x + f, d);
        if (N > 1) {
          const vec<T> part = d * load(&scales[0][f]) / load(&norms[0][k]);
          for (int c = 1; c < 4; ++c) store(x + c * width + f, load(x + c * width + f) * part);
        }
        if (N > 4) {
          const vec<T> part = d * load(&scales[1][f]) / load(&norms[1][k]), twice = part + part;
          const vec<T> q0 = load(x + 4 * width + f), q3 = load(x + 7 * width + f);
          store(x + 4 * width + f, q0 * twice + q3 * part);
          store(x + 7 * width + f, q3 * twice + q0 * part);
          for (int c : {5, 6, 8}) store(x + c * width + f, load(x + c * width + f) * twice);
        }
      }
    }
  }

  void activate(int k, vec<T> x, int slope_at)
  {
    vec<T> slope;
    store(&active[k], softplus<T>(x, slope));
    store(&slopes[slope_at + k], slope);
  }

  /// Derivatives of the energy by the vectors of a bead's pairs, from those by its sums.
  template <int N> void gradients(Pairs<T> &pairs, int bead)
  {
    for (int type = 0; type < n_types; ++type) {
      const int row = bead * n_types + type, begin = pairs.starts[row], end = begin + pairs.counts[row];
      const T *const d = &sums[std::size_t(bead) * N * stride + type * n_s];
      for (int p = begin; p < end; p += lanes<T>) {
        const vec<T> inverse = load(&pairs.inverse[p]), spread = load(&pairs.spread[p]), slope = load(&pairs.slope[p]);
        vec<T> y[8], radial = {}, angular[9] = {};
#pragma GCC unroll 8
        for (int c = 1; c < N; ++c) y[c - 1] = load(&pairs.y[c - 1][p]);
        for (int s = 0; s < n_s; ++s) {
          const vec<T> away = inverse - centre[s], q = away * shape[s], bare = power_of_two<T>(-q * q);
          vec<T> along = splat(d[s]);
#pragma GCC unroll 8
          for (int c = 1; c < N; ++c) {
            along += y[c - 1] * d[c * stride + s];
            angular[c] += bare * d[c * stride + s];
          }
          radial += along * bare * (slope + spread * (away * steepness[s]));
        }
        if (N > 1) {
          // dY/dv is orthogonal to u: what it has along u is taken off again.
          const vec<T> scale = inverse * load(&pairs.value[p]);
          vec<T> vx = angular[1], vy = angular[2], vz = angular[3];
          if (N > 4) {
            vx += y[0] * angular[4] * T(2) + y[1] * angular[5] + y[2] * angular[6];
            vy += y[0] * angular[5] + y[1] * angular[7] * T(2) + y[2] * angular[8];
            vz += y[0] * angular[6] + y[1] * angular[8];
          }
          vx *= scale;
          vy *= scale;
          vz *= scale;
          radial -= vx * y[0] + vy * y[1] + vz * y[2];
          add(pairs, p, radial * y[0] + vx, radial * y[1] + vy, radial * y[2] + vz);
        } else
          add(pairs, p, radial * load(&pairs.y[0][p]), radial * load(&pairs.y[1][p]), radial * load(&pairs.y[2][p]));
      }
    }
  }

  static void add(Pairs<T> &pairs, int p, vec<T> x, vec<T> y, vec<T> z)
  {
    store(&pairs.gradient[0][p], load(&pairs.gradient[0][p]) + x);
    store(&pairs.gradient[1][p], load(&pairs.gradient[1][p]) + y);
    store(&pairs.gradient[2][p], load(&pairs.gradient[2][p]) + z);
  }
};

/// The mean of several networks.
template <typename T> class Evaluator {
 public:
  Pairs<T> pairs;    // to be filled for a block of beads

  Evaluator(const ModelFile &model)
  {
    networks.reserve(model.networks.size());
    for (const Weights &weights : model.networks) networks.emplace_back(weights, int(model.types.size()));
  }

  /// Energies and gradients of the beads whose pairs have been filled in; types: block_beads numbers.
  void evaluate(const int *types, double *energies)
  {
    for (auto &one : pairs.gradient)
      for (int p = 0; p < pairs.n_pairs; ++p) one[p] = T(0);
    for (int bead = 0; bead < pairs.n_beads; ++bead) energies[bead] = 0.0;
    T cutoff = T(0);
    for (auto &network : networks) {
      if (network.cutoff != cutoff) pairs.set_cutoff(cutoff = network.cutoff);
      network.evaluate(pairs, types, 1.0 / double(networks.size()), energies);
    }
  }

  double memory_usage() const
  {
    double bytes = pairs.memory_usage();
    for (const auto &network : networks) bytes += network.memory_usage();
    return bytes;
  }

 private:
  std::vector<Network<T>> networks;
};

}    // namespace cgdistill

#endif
