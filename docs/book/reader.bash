# The shell of a reader who sits in a clone of the repository and types what a chapter says.
#
# One rule: `bazel run LABEL -- ARGUMENTS` runs the program that Bazel has built, in the folder and
# with the environment that Bazel would give it; `bazel build` has been done. Bazel's own lines
# (INFO: ...) are not printed.
bazel() {
  local verb=$1 label
  shift
  while [[ ${1-} == -* ]]; do
    [[ $1 != -c ]] || shift
    shift
  done
  [[ $verb == run ]] || return 0
  label=$1
  shift
  [[ ${1-} != -- ]] || shift
  [[ -v "programs[$label]" ]] || { echo "no program $label in docs/BUILD" >&2; return 1; }
  # Unquoted: a program, and the arguments that its target sets.
  (BUILD_WORKING_DIRECTORY=$PWD; export BUILD_WORKING_DIRECTORY
   cd -P bazel-bin && exec ${programs[$label]} "$@")
}
