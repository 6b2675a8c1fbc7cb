// The file of a model: plain text, written by cgdistill's forcefield/hipnn/plugin_model.py.
#ifndef CGDISTILL_MODEL_FILE_H
#define CGDISTILL_MODEL_FILE_H

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace cgdistill {

/// Residual layer x + softplus(x @ inner + inner_bias) @ outer + outer_bias.
struct Layer {
  std::vector<double> inner, inner_bias, outer, outer_bias;
};

/// One HIP-NN-TS network of one interaction layer; arrays as in cgdistill's forcefield/hipnn/dense.py, row by row.
struct Weights {
  int tensor_order, n_sensitivities, n_features, n_atom_layers;
  double cutoff, cusp;                      // A; under the square roots
  std::vector<double> centre, width;        // 1/A and A: exp(-(width (1/r - centre))^2 / 2)
  std::vector<double> interaction;          // n_types x n_sensitivities x n_features
  std::vector<double> self_table, skip_table;    // n_types x n_features
  std::vector<std::vector<double>> scales;       // one per tensor order above 0: n_features
  std::vector<double> outer, outer_bias;         // second half of the interaction
  std::vector<Layer> layers;
  std::vector<double> energy, energy_table;    // n_features; n_types, kcal/mol
};

struct ModelFile {
  std::vector<std::string> types;
  std::vector<Weights> networks;    // their mean counts
};

/// Reads words one by one and keeps count of the lines; throws std::runtime_error with line and what was expected.
class ModelReader {
 public:
  explicit ModelReader(const std::string &content) : text(content) {}

  ModelFile read()
  {
    check_sum();
    ModelFile model;
    word("cgdistill-plugin-model");
    word("2");
    word("units");
    word("real");
    const int n_types = integer("types", 1, 1000);
    for (int t = 0; t < n_types; ++t) model.types.push_back(next("name of a bead type"));
    const int n_networks = integer("networks", 1, 1000);
    for (int n = 0; n < n_networks; ++n) model.networks.push_back(network(n_types));
    word("end");
    const std::string last = next("the checksum");
    if (last != "crc32") fail("nothing but the checksum after the end", last);
    return model;
  }

 private:
  const std::string &text;
  std::size_t at = 0;
  int line = 1;

  [[noreturn]] void fail(const std::string &expected, const std::string &found) const
  {
    throw std::runtime_error("line " + std::to_string(line) + ": expected " + expected + ", found " + found);
  }

  /// The last line holds the CRC-32 of all before it.
  void check_sum()
  {
    const std::size_t last = text.rfind("\ncrc32 ");
    if (last == std::string::npos) throw std::runtime_error("no checksum in the last line: not a whole model file");
    std::uint32_t sum = 0xFFFFFFFFu;
    for (std::size_t k = 0; k <= last; ++k) {
      sum ^= static_cast<unsigned char>(text[k]);
      for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ (0xEDB88320u & (0u - (sum & 1u)));
    }
    char *end = nullptr;
    const unsigned long long said = std::strtoull(text.c_str() + last + 7, &end, 16);
    if (said != (sum ^ 0xFFFFFFFFu) || std::string(end) != "\n") throw std::runtime_error("the checksum does not fit: the file is damaged");
  }

  std::string next(const std::string &expected)
  {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])))
      if (text[at++] == '\n') ++line;
    const std::size_t begin = at;
    while (at < text.size() && !std::isspace(static_cast<unsigned char>(text[at]))) ++at;
    if (begin == at) fail(expected, "the end of the file");
    return text.substr(begin, at - begin);
  }

  void word(const std::string &expected)
  {
    const std::string found = next(expected);
    if (found != expected) fail(expected, found);
  }

  int integer(const std::string &name, int low, int high)
  {
    const double value = number(name);
    if (value != std::floor(value) || value < low || value > high)
      fail(name + " between " + std::to_string(low) + " and " + std::to_string(high), std::to_string(value));
    return static_cast<int>(value);
  }

  double number(const std::string &name)
  {
    word(name);
    return value(name);
  }

  double value(const std::string &name)
  {
    const std::string found = next("a number of " + name);
    char *end = nullptr;
    const double value = std::strtod(found.c_str(), &end);
    if (*end != '\0' || !std::isfinite(value)) fail("a number of " + name, found);
    return value;
  }

  std::vector<double> numbers(const std::string &name, int rows, int columns)
  {
    word(name);
    const std::size_t n = static_cast<std::size_t>(rows) * columns;
    // A number takes a digit and a blank at least: before memory is taken.
    if (n > (text.size() - at) / 2) fail(std::to_string(n) + " numbers of " + name, "a file that is too short");
    std::vector<double> values(n);
    for (double &one : values) one = value(name);
    return values;
  }

  Weights network(int n_types)
  {
    Weights w;
    w.tensor_order = integer("tensor_order", 0, 2);
    w.n_sensitivities = integer("sensitivities", 1, 10000);
    w.n_features = integer("features", 1, 10000);
    w.n_atom_layers = integer("atom_layers", 0, 1000);
    w.cutoff = number("cutoff");
    w.cusp = number("cusp");
    if (!(w.cutoff > 0.0) || w.cusp < 0.0) fail("a cutoff above 0 and a cusp from 0 on", "others");
    const int n_s = w.n_sensitivities, n_f = w.n_features;
    w.centre = numbers("centre", 1, n_s);
    w.width = numbers("width", 1, n_s);
    w.interaction = numbers("interaction", n_types * n_s, n_f);
    w.self_table = numbers("self_table", n_types, n_f);
    w.skip_table = numbers("skip_table", n_types, n_f);
    for (int order = 0; order < w.tensor_order; ++order) w.scales.push_back(numbers("scale", 1, n_f));
    w.outer = numbers("outer", n_f, n_f);
    w.outer_bias = numbers("outer_bias", 1, n_f);
    for (int n = 0; n < w.n_atom_layers; ++n) {
      Layer layer;
      layer.inner = numbers("inner", n_f, n_f);
      layer.inner_bias = numbers("inner_bias", 1, n_f);
      layer.outer = numbers("outer", n_f, n_f);
      layer.outer_bias = numbers("outer_bias", 1, n_f);
      w.layers.push_back(layer);
    }
    w.energy = numbers("energy", 1, n_f);
    w.energy_table = numbers("energy_table", 1, n_types);
    return w;
  }
};

}    // namespace cgdistill

#endif
