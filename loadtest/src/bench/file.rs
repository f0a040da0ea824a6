//! `target/bench.json`: one list for the figures of all services, and the machine beside it.

use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::goals::Figure;
use crate::system::Machine;

/// Puts `figures` into the list in `path`: those of the same id are replaced, all others stay.
///
/// # Errors
/// When the file is no list or cannot be written.
pub(crate) fn merge(path: &Path, figures: &[Figure]) -> anyhow::Result<()> {
    let mut list: Vec<Value> = read(path)?.unwrap_or_default();
    for figure in figures {
        let fresh = serde_json::to_value(figure)?;
        match list.iter_mut().find(|known| known["id"] == figure.id) {
            Some(known) => *known = fresh,
            None => list.push(fresh),
        }
    }
    write(path, &json!(list))
}

/// Notes in `bench-machine.json`, beside `path`, on which machine the figures of `service` were
/// measured.
///
/// # Errors
/// When the file is no object or cannot be written.
pub(crate) fn write_machine(path: &Path, service: &str, machine: &Machine) -> anyhow::Result<()> {
    let path = path.with_file_name("bench-machine.json");
    let mut all: Map<String, Value> = read(&path)?.unwrap_or_default();
    all.insert(service.to_owned(), serde_json::to_value(machine)?);
    write(&path, &Value::Object(all))
}

/// What is in `path`; `None` without such a file.
///
/// # Errors
/// When it cannot be read or is not what it should be.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("{} is damaged", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Written beside and renamed, so that nobody reads half a file.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(path: &Path, value: &Value) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("json.new");
    std::fs::write(&fresh, format!("{value:#}\n")).with_context(|| fresh.display().to_string())?;
    std::fs::rename(&fresh, path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64) -> Figure {
        Figure::median("audit.rss_mib", vec![json!({"value": value})]).unwrap()
    }

    #[test]
    fn figures_of_others_stay_and_ours_are_replaced() {
        let folder = std::env::temp_dir().join(format!("loadtest-bench-{}", std::process::id()));
        let path = folder.join("bench.json");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, r#"[{"id":"authz.checks","measured":7,"own":"field"}]"#).unwrap();
        merge(&path, &[figure(200.0)]).unwrap();
        merge(&path, &[figure(210.0)]).unwrap();
        let list: Vec<Value> = read(&path).unwrap().unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0], json!({"id": "authz.checks", "measured": 7, "own": "field"}));
        assert_eq!(list[1]["measured"], 210.0);
        write_machine(&path, "authz", &Machine::here()).unwrap();
        write_machine(&path, "audit", &Machine::here()).unwrap();
        let machines: Map<String, Value> =
            read(&folder.join("bench-machine.json")).unwrap().unwrap();
        assert_eq!(machines.len(), 2);
        std::fs::write(&path, "{").unwrap();
        assert!(merge(&path, &[figure(1.0)]).is_err(), "a damaged file is not overwritten");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
