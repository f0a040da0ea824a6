//! What tests share. They are two binaries of modules: `alone/` needs no engines, `tests/run` starts them for `it/`.
#![allow(clippy::missing_errors_doc, reason = "tests")]

pub mod abuse;
pub mod audit;
pub mod bed;
pub mod tls;
