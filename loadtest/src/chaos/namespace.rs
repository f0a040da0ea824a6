//! A network of our own, in which cables can be cut: this program once more, in a network namespace (network_namespaces(7)).

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::progress::say;

/// Tells the program that it is inside.
const INSIDE: &str = "LOADTEST_NAMESPACE";
/// What it takes: a namespace, its loopback, and rules for packets.
const TRIAL: &str = "ip link set lo up && nft list tables";

/// Whether this program is inside, where members can be cut off.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Whether it can get inside: as root, with unshare, ip and nft.
#[must_use]
pub fn can_enter() -> bool {
    let mut trial = Command::new("unshare");
    trial.args(["--net", "--", "sh", "-c", TRIAL]);
    trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let can = trial.status().is_ok_and(|status| status.success());
    if !can {
        say("no cuts: they want root, unshare, ip and nft (util-linux, iproute2, nftables)");
    }
    can
}

/// Becomes this program with the same arguments, inside; the process stays the same. Returns only if that fails.
///
/// # Errors
/// When it cannot be started.
pub fn enter() -> anyhow::Result<()> {
    let own = std::env::current_exe()?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    command.arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    Err(command.exec()).context("unshare")
}
