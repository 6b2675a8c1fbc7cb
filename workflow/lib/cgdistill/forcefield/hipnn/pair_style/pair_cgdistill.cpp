// Pair style cgdistill, a plugin for LAMMPS:
//
//   plugin load ./pair_cgdistill.so
//   pair_style cgdistill [precision single|double]
//   pair_coeff * * model.cgdistill Cho Cl Urea        bead types of LAMMPS's types in order
//
// The networks are trained as the difference to the prior of their force field, which runs in LAMMPS's own styles:
// pair_style hybrid/overlay cgdistill ... with them. NULL for a type that is left to another style: its beads are not
// in the list.
// Units real. Forces on ghosts go back to the ranks that own them.

#include "pair_cgdistill.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <fstream>
#include <iterator>

using namespace LAMMPS_NS;

PairCGDistill::PairCGDistill(LAMMPS *lmp) : Pair(lmp)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  centroidstressflag = CENTROID_NOTAVAIL;
}

PairCGDistill::~PairCGDistill()
{
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
  }
}

void PairCGDistill::allocate()
{
  allocated = 1;
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  for (int i = 1; i < n; ++i)
    for (int j = i; j < n; ++j) setflag[i][j] = 0;
}

void PairCGDistill::settings(int narg, char **arg)
{
  if (narg == 0) return;
  const std::string value = narg == 2 && std::string(arg[0]) == "precision" ? arg[1] : "";
  if (value != "single" && value != "double")
    error->all(FLERR, "pair_style cgdistill: expected no arguments, or precision single, or precision double");
  single_precision = value == "single";
}

void PairCGDistill::coeff(int narg, char **arg)
{
  if (!allocated) allocate();
  if (narg != 3 + atom->ntypes)    // LAMMPS itself insists on * *
    error->all(FLERR, "pair_coeff of pair_style cgdistill: expected * *, a model file and the names of " +
                   std::to_string(atom->ntypes) + " bead types");
  cgdistill::ModelFile model;
  const std::string content = read_everywhere(arg[2]);
  try {
    model = cgdistill::ModelReader(content).read();
  } catch (std::runtime_error &problem) {
    error->all(FLERR, std::string("pair_style cgdistill: ") + arg[2] + ": " + problem.what());
  }
  take_over(model);
  std::string names;
  for (const auto &name : model.types) names += " " + name;
  kinds.assign(atom->ntypes + 1, -1);
  for (int type = 1; type <= atom->ntypes; ++type) {
    const std::string name = arg[2 + type];
    const auto found = std::find(model.types.begin(), model.types.end(), name);
    if (name != "NULL" && found == model.types.end())
      error->all(FLERR, std::string("pair_style cgdistill: ") + arg[2] + " has no bead type " + name +
                     ", expected some of" + names);
    if (name != "NULL") kinds[type] = int(found - model.types.begin());
  }
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j) setflag[i][j] = kinds[i] >= 0 && kinds[j] >= 0;
}

/// Content of a file, read by one rank.
std::string PairCGDistill::read_everywhere(const std::string &path) const
{
  std::string content;
  int size = -1;
  if (comm->me == 0) {
    std::ifstream file(path, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(file), {});
    if (file.is_open() && content.size() < MAXSMALLINT) size = int(content.size());
  }
  MPI_Bcast(&size, 1, MPI_INT, 0, world);
  if (size < 0) error->all(FLERR, "pair_style cgdistill: cannot read the model file " + path);
  content.resize(size);
  MPI_Bcast(&content[0], size, MPI_CHAR, 0, world);
  return content;
}

void PairCGDistill::take_over(const cgdistill::ModelFile &model)
{
  n_types = int(model.types.size());
  cutoff = 0.0;
  for (const auto &network : model.networks) cutoff = std::max(cutoff, network.cutoff);
  in_single.reset();
  in_double.reset();
  if (single_precision)
    in_single.reset(new Engine<float>{model, {}});
  else
    in_double.reset(new Engine<double>{model, {}});
}

void PairCGDistill::init_style()
{
  if (std::string(update->unit_style) != "real")
    error->all(FLERR, std::string("pair_style cgdistill: units are ") + update->unit_style + ", expected real");
  if (force->newton_pair == 0) error->all(FLERR, "pair_style cgdistill: newton is off for pairs, expected newton on");
  const double *const special = force->special_lj;
  if (atom->molecular != Atom::ATOMIC && (special[1] != 1.0 || special[2] != 1.0 || special[3] != 1.0))
    error->all(FLERR, "pair_style cgdistill: bonded beads are left out, expected special_bonds lj 1 1 1");
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

double PairCGDistill::init_one(int i, int j)
{
  if (setflag[i][j] == 0) error->all(FLERR, "pair_style cgdistill: not all pair coefficients are set");
  return cutoff;
}

double PairCGDistill::memory_usage()
{
  double bytes = Pair::memory_usage();
  if (in_single) bytes += in_single->evaluator.memory_usage();
  if (in_double) bytes += in_double->evaluator.memory_usage();
  return bytes;
}

void PairCGDistill::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  if (single_precision)
    compute_in(*in_single);
  else
    compute_in(*in_double);
  if (vflag_fdotr) virial_fdotr_compute();
}

template <typename T> void PairCGDistill::compute_in(Engine<T> &engine)
{
  if (list->inum == 0) return;
  auto &pairs = engine.evaluator.pairs;
  double *const f = atom->f[0];
  int beads[cgdistill::block_beads], types[cgdistill::block_beads] = {};
  double energies[cgdistill::block_beads];
  for (int next = 0; next < list->inum;) {
    pairs.clear(n_types);
    for (; next < list->inum && pairs.n_beads < cgdistill::block_beads; ++next) {
      const int i = list->ilist[next];
      beads[pairs.n_beads] = i;
      types[pairs.n_beads++] = kinds[atom->type[i]];
      gather(engine, i);
    }
    engine.evaluator.evaluate(types, energies);
    for (int bead = 0; bead < pairs.n_beads; ++bead) {
      const int i = beads[bead];
      double fx = 0.0, fy = 0.0, fz = 0.0;
      for (int row = bead * n_types; row < (bead + 1) * n_types; ++row)
        for (int p = pairs.starts[row]; p < pairs.starts[row] + pairs.counts[row]; ++p) {
          const double gx = pairs.gradient[0][p], gy = pairs.gradient[1][p], gz = pairs.gradient[2][p];
          const int j = pairs.neighbour[p];
          fx += gx;
          fy += gy;
          fz += gz;
          f[3 * j] -= gx;
          f[3 * j + 1] -= gy;
          f[3 * j + 2] -= gz;
          if (vflag_either) {
            const double *const xi = atom->x[i], *const xj = atom->x[j];
            const double vector[] = {xj[0] - xi[0], xj[1] - xi[1], xj[2] - xi[2]};
            tally_virial(i, j, vector, gx, gy, gz);
          }
        }
      f[3 * i] += fx;
      f[3 * i + 1] += fy;
      f[3 * i + 2] += fz;
      if (eflag_global) eng_vdwl += energies[bead];
      if (eflag_atom) eatom[i] += energies[bead];
    }
  }
}

/// Rows of bead i for the networks.
template <typename T> void PairCGDistill::gather(Engine<T> &engine, int i)
{
  const double *const x = atom->x[0];
  const int *const types = atom->type, *const neighbours = list->firstneigh[i], *const kind_of = kinds.data();
  const int n = list->numneigh[i];
  const double xi = x[3 * i], yi = x[3 * i + 1], zi = x[3 * i + 2], limit = cutoff * cutoff;
  Near<T> &near = engine.near;
  if (near.room < n + cgdistill::lanes<T>) {
    near.room = n + n / 2 + cgdistill::lanes<T>;
    for (auto *one : {&near.x, &near.y, &near.z}) one->resize(std::size_t(n_types) * near.room);
    near.j.resize(std::size_t(n_types) * near.room);
  }
  near.counts.assign(n_types, 0);
  T *const near_x = near.x.data(), *const near_y = near.y.data(), *const near_z = near.z.data();
  int *const near_j = near.j.data(), *const counts = near.counts.data();
  const int room = near.room;
  for (int number = 0; number < n; ++number) {
    const int j = neighbours[number] & NEIGHMASK, other = kind_of[types[j]], slot = other * room + counts[other];
    const double vector[] = {x[3 * j] - xi, x[3 * j + 1] - yi, x[3 * j + 2] - zi};
    const double squared = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
    near_x[slot] = T(vector[0]);
    near_y[slot] = T(vector[1]);
    near_z[slot] = T(vector[2]);
    near_j[slot] = j;
    counts[other] += squared <= limit;
  }
  for (int other = 0; other < n_types; ++other) {
    const int at = other * room;
    engine.evaluator.pairs.add_row(near_x + at, near_y + at, near_z + at, near_j + at, counts[other]);
  }
}

/// Virial of a pair's vector from i to j with the derivative g of the energy; either bead gets half of it.
void PairCGDistill::tally_virial(int i, int j, const double *vector, double gx, double gy, double gz)
{
  const double v[] = {-vector[0] * gx, -vector[1] * gy, -vector[2] * gz,
                      -vector[0] * gy, -vector[0] * gz, -vector[1] * gz};
  for (int k = 0; k < 6; ++k) {
    if (vflag_global) virial[k] += v[k];
    if (vflag_atom) {
      vatom[i][k] += 0.5 * v[k];
      vatom[j][k] += 0.5 * v[k];
    }
  }
}

// LAMMPS's lammpsplugin.h, which not every installation of LAMMPS has.
extern "C" {
struct lammpsplugin_t {
  const char *version, *style, *name, *info, *author;
  union {
    void *(*v1)(void *);
    void *(*v2)(void *, int, char **);
  } creator;
  void *handle;
};

void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  lammpsplugin_t plugin = {};
#if defined(CGDISTILL_LAMMPS_VERSION)
  plugin.version = CGDISTILL_LAMMPS_VERSION;    // LAMMPS compares it with its own
#else
  plugin.version = static_cast<LAMMPS *>(lmp)->version;
#endif
  plugin.style = "pair";
  plugin.name = "cgdistill";
  plugin.info = "HIP-NN-TS networks";
  plugin.author = "cgdistill";
  plugin.creator.v1 = [](void *lammps) -> void * { return new PairCGDistill(static_cast<LAMMPS *>(lammps)); };
  plugin.handle = handle;
  reinterpret_cast<void (*)(lammpsplugin_t *, void *)>(regfunc)(&plugin, lmp);
}
}
