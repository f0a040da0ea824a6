//! All three services on the real engines, two replicas of each, and work for them whose every answer is held to what it
//! must be: what faults ([`crate::chaos`]) and hours ([`crate::soak`]) are tried on.
//!
//! | module | what it holds |
//! |---|---|
//! | [`site`] | where the replicas answer, and what is promised of them |
//! | [`work`] | what is done on them, and its invariants |
//! | [`member`] | who can be done something to |
//! | [`stage`] | a trio of our own: engines, an installation, replicas; what can be done to them |
//! | `settings`, `install` | what services are told; topics, schemas and the first credentials |
//! | `slot`, `heal` | one replica's place; putting all right, logs |
//! | `balancer`, `ports`, `cuts` | the issuer's one address; where all listen; packets that are dropped |
//! | [`watch`] | looking at all of it meanwhile |
//! | [`timeline`] | what the work did over time, for drawings |

mod balancer;
mod cuts;
mod heal;
mod install;
pub mod member;
mod ports;
mod settings;
pub mod site;
mod slot;
pub mod stage;
pub mod timeline;
pub mod watch;
pub mod work;

pub use install::Binaries;
