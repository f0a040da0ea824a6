//! All three services on the real engines, two replicas of each, and work for them whose every answer is held to what it
//! must be: what faults ([`crate::chaos`]) and hours ([`crate::soak`]) are tried on.

pub mod site;
pub mod work;
