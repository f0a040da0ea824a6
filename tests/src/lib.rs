//! Triad on the real engines. The tests are one binary of modules under `it/`; `tests/run` starts the
//! engines for it.
