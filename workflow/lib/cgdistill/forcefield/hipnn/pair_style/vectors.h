// Vectors of numbers, memory for them, and the functions of the network on them.
#ifndef CGDISTILL_VECTORS_H
#define CGDISTILL_VECTORS_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

namespace cgdistill {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <typename T> struct Vector;
template <> struct Vector<float> {
  typedef float type __attribute__((vector_size(vector_bytes)));
  typedef std::uint32_t bits __attribute__((vector_size(vector_bytes)));
};
template <> struct Vector<double> {
  typedef double type __attribute__((vector_size(vector_bytes)));
  typedef std::uint64_t bits __attribute__((vector_size(vector_bytes)));
};
template <typename T> using vec = typename Vector<T>::type;

/// Numbers in a vector.
template <typename T> constexpr int lanes = vector_bytes / int(sizeof(T));

/// n rounded up to whole vectors.
template <typename T> constexpr int padded(int n) { return (n + lanes<T> - 1) / lanes<T> * lanes<T>; }

template <typename T> inline vec<T> load(const T *from)
{
  vec<T> x;
  std::memcpy(&x, from, sizeof(x));
  return x;
}

template <typename T> inline void store(T *to, vec<T> x) { std::memcpy(to, &x, sizeof(x)); }

template <typename T> inline vec<T> splat(T x) { return vec<T>{} + x; }

/// ln(2)^n / n! up to n = N: the Taylor series of 2^x.
template <int N> struct Powers {
  static constexpr int last = N;
  double of[N + 1];
  constexpr Powers() : of()
  {
    of[0] = 1.0;
    for (int n = 1; n <= N; ++n) of[n] = of[n - 1] * 0.69314718055994531 / n;
  }
};

template <typename T> inline T total(vec<T> x)
{
  T sum = 0;
  for (int l = 0; l < lanes<T>; ++l) sum += x[l];
  return sum;
}

template <typename T> inline vec<T> at_least(vec<T> x, T low) { return x < low ? splat(low) : x; }

template <typename T> inline vec<T> square_root(vec<T> x)
{
  T y[lanes<T>];
  store(y, x);
  for (int l = 0; l < lanes<T>; ++l) y[l] = std::sqrt(y[l]);
  return load(y);
}

constexpr double log2_e = 1.4426950408889634;

/// 2^x for x <= 0 to the last bits; a number too small to count where it would come near underflow.
template <typename T> inline vec<T> power_of_two(vec<T> x)
{
  constexpr bool is_float = sizeof(T) == 4;
  constexpr T shift = T(is_float ? 12582912.0 : 6755399441055744.0);    // 1.5 * 2^23 or 2^52
  x = at_least(x, T(is_float ? -115 : -1000));
  // The last bits of this sum are the nearest whole number.
  const vec<T> whole = x + shift, f = x - (whole - shift);
  constexpr Powers<is_float ? 7 : 13> taylor;
  vec<T> p = splat(T(taylor.of[taylor.last]));
#pragma GCC unroll 16
  for (int n = taylor.last - 1; n >= 0; --n) p = p * f + T(taylor.of[n]);
  typedef typename Vector<T>::bits bits;
  return (vec<T>) ((bits) p + ((bits) whole << (is_float ? 23 : 52)));
}

/// ln(1 + e^x), and its derivative 1 / (1 + e^-x) in `slope`.
template <typename T> inline vec<T> softplus(vec<T> x, vec<T> &slope)
{
  // ln(1 + y) = 2 artanh(z) with z = y / (2 + y) <= 1/3: behind so many terms of the series nothing is left.
  constexpr int n_terms = sizeof(T) == 4 ? 9 : 18;
  const vec<T> y = power_of_two<T>((x < T(0) ? x : -x) * T(log2_e));
  const vec<T> z = y / (y + T(2)), squared = z * z;
  vec<T> series = vec<T>{};
  for (int term = n_terms; term > 0; --term) series = series * squared + T(1) / (T(2) * term - T(1));
  const vec<T> inverse = T(1) / (y + T(1));
  slope = x < T(0) ? y * inverse : inverse;
  return z * series * T(2) + at_least(x, T(0));
}

/// cos^2(pi r / 2R) in `value` and its derivative in `slope`, both 0 beyond the cutoff R.
template <typename T> inline void cutoff_function(vec<T> r, T cutoff, vec<T> &value, vec<T> &slope)
{
  // With h = pi r / 2R - pi/4 the value is (cos h - sin h)^2 / 2, on |h| <= pi/4; Taylor series.
  const T scale = T(1.5707963267948966) / cutoff;
  const vec<T> h = r * scale - T(0.78539816339744831), w = h * h;
  constexpr int last = sizeof(T) == 4 ? 9 : 17;
  vec<T> sine = splat(T(1)), cosine = splat(T(1));
  for (int n = last; n > 1; n -= 2) {
    sine = T(1) - w * sine * (T(1) / T(n * (n - 1)));
    cosine = T(1) - w * cosine * (T(1) / T((n - 1) * (n - 2)));
  }
  sine *= h;
  const vec<T> difference = cosine - sine;
  value = r > cutoff ? vec<T>{} : difference * difference * T(0.5);
  slope = r > cutoff ? vec<T>{} : (difference * (cosine + sine)) * -scale;
}

template <typename T> struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <typename U> AlignedAllocator(const AlignedAllocator<U> &) {}
  T *allocate(std::size_t n) { return static_cast<T *>(::operator new(n * sizeof(T), std::align_val_t{64})); }
  void deallocate(T *p, std::size_t) { ::operator delete(p, std::align_val_t{64}); }
  bool operator==(const AlignedAllocator &) const { return true; }
  bool operator!=(const AlignedAllocator &) const { return false; }
};

/// Numbers that start where a cache line does.
template <typename T> using array = std::vector<T, AlignedAllocator<T>>;

}    // namespace cgdistill

#endif
