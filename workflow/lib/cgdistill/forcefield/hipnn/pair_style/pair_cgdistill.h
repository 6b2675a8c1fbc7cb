// Pair style cgdistill: HIP-NN-TS networks, over MPI ranks.
#ifndef LMP_PAIR_CGDISTILL_H
#define LMP_PAIR_CGDISTILL_H

#include "pair.h"

#include "network.h"

#include <memory>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class PairCGDistill : public Pair {
 public:
  PairCGDistill(class LAMMPS *);
  ~PairCGDistill() override;

  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  double memory_usage() override;

 private:
  /// Neighbours of a bead within the cutoff: `counts` of each type, their places `room` apart.
  template <typename T> struct Near {
    std::vector<int> counts, j;
    std::vector<T> x, y, z;
    int room = 0;
  };
  template <typename T> struct Engine {
    cgdistill::Evaluator<T> evaluator;
    Near<T> near;
  };

  bool single_precision = true;
  double cutoff = 0.0;                               // largest of the networks, A
  int n_types = 0;                                   // of the model
  std::vector<int> kinds;                            // of LAMMPS's types: type of the model
  std::unique_ptr<Engine<float>> in_single;
  std::unique_ptr<Engine<double>> in_double;

  void allocate();
  std::string read_everywhere(const std::string &) const;
  void take_over(const cgdistill::ModelFile &);
  template <typename T> void compute_in(Engine<T> &);
  template <typename T> void gather(Engine<T> &, int);
  void tally_virial(int, int, const double *, double, double, double);
};

}    // namespace LAMMPS_NS

#endif
