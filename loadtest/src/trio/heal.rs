//! Putting a trio right, and what its logs say.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use reqwest::header::CONTENT_TYPE;

use super::member::{REPLICAS, Service};
use super::site::Replica;
use super::stage::{Disturbed, Stage};
use crate::child;

/// From the last engine's answer until every replica must be ready.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Between looks.
const LOOK: Duration = Duration::from_millis(500);
/// Of a log, for people.
const LAST_LINES: usize = 15;
/// Of what a service says that ends with something undone; each says it in its own words.
const GAVE_UP: &str = "drain deadline";
/// Of what whoever panics says.
const PANIC: &str = "panicked at";
/// Lines of panics that are kept of each log.
const PANICS: usize = 5;

impl Stage {
    /// Undoes whatever was done: cuts, pauses, kills. Waits until every engine answers and every replica is ready and lets
    /// the administrator in, by token and by key. Returns what did not come so far in time.
    ///
    /// # Errors
    /// When an engine does not come back, or ended by itself, or a process cannot be started.
    pub async fn heal(&self) -> anyhow::Result<Vec<String>> {
        self.engines_last().await?;
        self.cuts.clear().await?;
        for slot in &self.slots {
            slot.lock().await.resume().await?;
        }
        let disturbed = std::mem::take(&mut *self.disturbed.lock().await);
        // First: who is started asks those that run.
        for (member, _) in disturbed.iter().filter(|(_, how)| **how == Disturbed::Paused) {
            self.resume(*member).await?;
        }
        for member in self.engines().filter(|member| disturbed.contains_key(member)) {
            self.begin(member).await?;
        }
        self.disturbed.lock().await.clear();
        for member in REPLICAS {
            self.begin(member).await?;
        }
        self.until_ready().await
    }

    async fn until_ready(&self) -> anyhow::Result<Vec<String>> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.supervise()?;
            let late = self.late().await;
            if late.is_empty() || Instant::now() > deadline {
                return Ok(late);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Who is not ready, or lets the administrator not in.
    async fn late(&self) -> Vec<String> {
        let mut late = Vec::new();
        let token = match self.token().await {
            Ok(token) => Some(token),
            Err(error) => {
                late.push(format!("no token is issued: {error:#}"));
                None
            }
        };
        for member in REPLICAS {
            let Some((replica, service)) = self.site.replica(member).zip(member.service()) else {
                continue;
            };
            if !child::is_ready(&self.client, replica.admin).await {
                late.push(format!("{} is not ready", member.name()));
                continue;
            }
            for bearer in [&self.administrator.key].into_iter().chain(&token) {
                if let Err(error) = self.lets_in(replica, service, bearer).await {
                    late.push(format!("{}: {error:#}", member.name()));
                }
            }
        }
        late
    }

    /// An access token of the administrator, of the first replica.
    async fn token(&self) -> anyhow::Result<String> {
        let url = format!("http://{}/oauth2/token", self.site.identity[0].http);
        let asked = self
            .client
            .post(url)
            .basic_auth(&self.administrator.client_id, Some(&self.administrator.key))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        let answer: serde_json::Value = asked.send().await?.error_for_status()?.json().await?;
        answer["access_token"].as_str().map(str::to_owned).context("no access_token")
    }

    /// Asks for something that only who is known, and may do all, sees: 401 is somebody unknown, 403 one without scopes, 404
    /// one of another tenant. A tenant without rows and roles has none.
    async fn lets_in(
        &self,
        replica: Replica,
        service: Service,
        bearer: &str,
    ) -> anyhow::Result<()> {
        let path = match service {
            Service::Ingest => "/v1/tenants/nobody/audit?limit=1",
            Service::Edge => "/v1/tenants/nobody/roles",
            Service::Identity => "/v1/tenants?limit=1",
        };
        let url = format!("http://{}{path}", replica.http);
        let status = self.client.get(url).bearer_auth(bearer).send().await?.status();
        ensure!(status.is_success(), "{status} to the administrator");
        Ok(())
    }

    /// Empties the logs of the replicas.
    ///
    /// # Errors
    /// When a file cannot be changed.
    pub async fn forget_logs(&self) -> anyhow::Result<()> {
        for slot in &self.slots {
            let slot = slot.lock().await;
            let log = std::fs::OpenOptions::new().write(true).open(&slot.seat().log);
            log.and_then(|log| log.set_len(0)).context("emptying a log")?;
        }
        Ok(())
    }

    /// Copies all logs into `folder`: those of the replicas since they were emptied, those of the engines whole.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub fn keep_logs(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        for from in [self.logs(), self.local.state().join("log")] {
            for entry in std::fs::read_dir(&from).with_context(|| from.display().to_string())? {
                let entry = entry?;
                std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    /// Lines of the replicas' logs that tell of a panic, some of each.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn panics(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for slot in &self.slots {
            let slot = slot.lock().await;
            let lines = saying(&slot.seat().log, 0, PANIC, PANICS)?;
            found.extend(lines.into_iter().map(|line| format!("{}: {line}", slot.member().name())));
        }
        Ok(found)
    }

    /// Tells every replica to end while all that it needs answers: within its drain deadline, with success (or it is a
    /// finding), and with nothing given up. Returns who gave something up. Nothing runs then.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn drain(&self) -> anyhow::Result<Vec<String>> {
        let ends = self.slots.iter().map(async |slot| {
            let (member, log) = {
                let slot = slot.lock().await;
                (slot.member(), slot.seat().log.clone())
            };
            let before = std::fs::metadata(&log).with_context(|| log.display().to_string())?.len();
            self.stop(member).await?;
            let gave_up = saying(&log, before, GAVE_UP, 1)?;
            anyhow::Ok(gave_up.into_iter().map(move |line| format!("{}: {line}", member.name())))
        });
        Ok(try_join_all(ends).await?.into_iter().flatten().collect())
    }

    /// The ends of the replicas' logs.
    pub(super) async fn last_words(&self) -> String {
        let mut words = String::new();
        for slot in &self.slots {
            let slot = slot.lock().await;
            let text = std::fs::read_to_string(&slot.seat().log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ");
            words.push_str(&format!("\n{}:\n  {end}", slot.member().name()));
        }
        words
    }
}

/// The first lines of a log that say that, from a place on; `most` at most.
fn saying(log: &Path, from: u64, what: &str, most: usize) -> anyhow::Result<Vec<String>> {
    let mut file = std::fs::File::open(log).with_context(|| log.display().to_string())?;
    file.seek(SeekFrom::Start(from))?;
    let mut found = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if line.contains(what) && found.len() < most {
            found.push(line.into_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_says_is_looked_for_behind_what_it_said_before() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let before =
            format!("INFO a\nWARN the {GAVE_UP} passed; what was not committed is read again\n");
        std::fs::write(log.path(), format!("{before}INFO b\n")).unwrap();
        let found = |from| saying(log.path(), from, GAVE_UP, 1).unwrap();
        assert_eq!(found(0), [before.lines().nth(1).unwrap()]);
        assert_eq!(found(before.len() as u64), [""; 0]);
    }

    #[test]
    fn panics_are_found_in_logs() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let lines = "INFO serving\nthread 'x' panicked at src/a.rs:1:2:\nINFO on\n";
        std::fs::write(log.path(), lines).unwrap();
        assert_eq!(
            saying(log.path(), 0, PANIC, PANICS).unwrap(),
            ["thread 'x' panicked at src/a.rs:1:2:"]
        );
    }
}
