//! What `/proc` tells of a process and of the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::process::Command;

/// Microseconds in one tick of `/proc/PID/stat`: USER_HZ is 100 on every Linux that Rust runs on.
const TICK_MICROS: u64 = 10_000;

/// CPU time that a process has used so far, in user and system mode.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    parse_cpu(&stat).with_context(|| format!("{path} is not as expected"))
}

fn parse_cpu(stat: &str) -> Option<Duration> {
    // The command's name may hold anything; the fields after its last bracket begin with the state.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_micros((user + system) * TICK_MICROS))
}

/// The processes of a group, by number: what a shell started for itself is in its own.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn group(leader: u32) -> anyhow::Result<Vec<u32>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").context("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that is gone meanwhile is none.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if parse_group(&stat) == Some(leader) {
            all.push(pid);
        }
    }
    all.sort_unstable();
    Ok(all)
}

fn parse_group(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// Resident memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Now.
    pub rss_kib: u64,
    /// At most so far.
    pub peak_kib: u64,
}

/// Resident memory of a process.
///
/// # Errors
/// When there is no such process.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let field = |name| kib_field(&status, name);
    Ok(Memory { rss_kib: field("VmRSS:").unwrap_or(0), peak_kib: field("VmHWM:").unwrap_or(0) })
}

/// Open descriptors of a process.
///
/// # Errors
/// When there is no such process, or it is another user's.
pub fn handles(pid: u32) -> anyhow::Result<usize> {
    let path = format!("/proc/{pid}/fd");
    Ok(std::fs::read_dir(&path).with_context(|| path.clone())?.count())
}

/// Threads of a process.
///
/// # Errors
/// When there is no such process.
pub fn threads(pid: u32) -> anyhow::Result<usize> {
    let path = format!("/proc/{pid}/task");
    Ok(std::fs::read_dir(&path).with_context(|| path.clone())?.count())
}

fn kib_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Waits until a process uses less than a fifth of one CPU over two seconds, or `limit` passes: what
/// a run left to compact must not be charged to the next one. Returns the time that it waited.
pub async fn settle(pid: u32, limit: Duration) -> Duration {
    let begun = std::time::Instant::now();
    let span = Duration::from_secs(2);
    while begun.elapsed() < limit {
        let before = cpu_time(pid).unwrap_or_default();
        tokio::time::sleep(span).await;
        let used = cpu_time(pid).unwrap_or_default().saturating_sub(before);
        if used < span / 5 {
            break;
        }
    }
    begun.elapsed()
}

/// The CPUs that this process may use, as `taskset` takes them.
///
/// # Errors
/// When `/proc` does not tell.
pub fn cpus() -> anyhow::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(list.context("/proc/self/status names no CPUs")?.trim().to_owned())
}

/// Keeps all threads of this process on `cpus` from now on.
///
/// # Errors
/// When there are no such CPUs, or no `taskset`.
pub async fn pin(cpus: &str) -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let output =
        Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", cpus, &pid]).output();
    let output = output.await.context("starting taskset")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "taskset {cpus}: {errors}");
    Ok(())
}

/// The machine that figures were measured on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Their model.
    pub cpu_model: String,
    /// In MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// Load averages when the measurement began.
    pub load: String,
    /// When the measurement began, RFC 3339.
    pub at: String,
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let models: BTreeMap<String, usize> = read("/proc/cpuinfo").lines().filter_map(model).fold(
            BTreeMap::new(),
            |mut all, name| {
                *all.entry(name.to_owned()).or_default() += 1;
                all
            },
        );
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_model: models.into_keys().collect::<Vec<_>>().join(", "),
            memory_mib: kib_field(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").trim().to_owned(),
            at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        }
    }
}

fn model(line: &str) -> Option<&str> {
    let (name, value) = line.split_once(':')?;
    (name.trim() == "model name").then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_command_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 9 0 100 0 0";
        assert_eq!(parse_cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_cpu("7 (a) S"), None);
    }

    #[tokio::test]
    async fn this_process_stays_on_its_cpus() {
        let all = cpus().unwrap();
        pin(&all).await.unwrap();
        assert_eq!(cpus().unwrap(), all);
        assert!(pin("none").await.is_err());
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        cpu_time(pid).unwrap();
        let memory = memory(pid).unwrap();
        assert!(memory.rss_kib > 0 && memory.peak_kib >= memory.rss_kib);
        assert!(handles(pid).unwrap() > 2 && threads(pid).unwrap() > 0);
        assert!(cpu_time(u32::MAX).is_err() && handles(u32::MAX).is_err());
    }

    #[test]
    fn the_machine_is_described() {
        let machine = Machine::here();
        assert!(machine.cpus > 0 && machine.memory_mib > 0 && !machine.kernel.is_empty());
    }
}
