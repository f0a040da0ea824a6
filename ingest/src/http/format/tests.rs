use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::record::RowAccessor as _;

use super::*;
use crate::event::Ticks;
use crate::query::Position;
use crate::query::model::{event, id_at};

fn events(count: u64) -> Vec<StoredEvent> {
    let one = |i: u64| {
        let time = Ticks::parse("2026-11-22T14:03:07.1234567Z").unwrap();
        let place = Position { time: time.millis(), id: id_at(time, i << 8) };
        let whole = StoredEvent {
            source_id: Some(format!("s-{i}")),
            actor_id: Some("a \"quoted\", comma".to_owned()),
            source_ip: Some("203.0.113.7".parse().unwrap()),
            details: vec![("k".to_owned(), "line\nbreak".to_owned())],
            ..event(place)
        };
        if i.is_multiple_of(2) { whole } else { event(place) }
    };
    (0..count).map(one).collect()
}

fn file(format: Format, events: &[StoredEvent]) -> (Vec<u8>, usize) {
    let mut encoder = format.encoder(TenantId::parse("acme").unwrap()).unwrap();
    let (mut bytes, mut chunks) = (Vec::new(), 0);
    for page in events.chunks(1000) {
        let chunk = encoder.push(page.to_vec()).unwrap();
        chunks += usize::from(!chunk.is_empty());
        bytes.extend(chunk);
    }
    bytes.extend(encoder.finish().unwrap());
    (bytes, chunks)
}

#[test]
fn a_line_of_ndjson_is_what_a_page_shows() {
    let (bytes, _) = file(Format::Ndjson, &events(2));
    let lines: Vec<serde_json::Value> = std::str::from_utf8(&bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["event_time"], "2026-11-22T14:03:07.1234567Z");
    assert_eq!(lines[0]["details"], serde_json::json!({"k": "line\nbreak"}));
    assert_eq!(lines[1].as_object().unwrap().len(), 4, "absent fields are absent: {}", lines[1]);
}

#[test]
fn csv_survives_quotes_commas_and_line_breaks() {
    let (bytes, _) = file(Format::Csv, &events(1001));
    assert!(bytes.starts_with(b"tenant_id,event_id,id,event_time,"));
    let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1001);
    assert_eq!(&rows[0][4], "a \"quoted\", comma");
    assert_eq!(&rows[0][11], "{\"k\":\"line\\nbreak\"}");
    assert_eq!((&rows[1][2], &rows[1][11]), ("", ""));
    assert_eq!(file(Format::Csv, &[]).0.iter().filter(|b| **b == b'\n').count(), 1);
}

#[test]
fn parquet_comes_in_row_groups_and_reads_back() {
    let (bytes, chunks) = file(Format::Parquet, &events(11_000));
    assert_eq!(chunks, 2, "a row group as soon as it is full");
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 3);
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 11_000);
    assert_eq!(rows[0].get_string(0).unwrap(), "acme");
    assert_eq!(rows[10_998].get_string(2).unwrap(), "s-10998");
    assert_eq!(rows[0].get_timestamp_micros(3).unwrap(), 1_795_356_187_123_456);
    assert!(rows[1].get_string(2).is_err(), "absent");
    let empty = file(Format::Parquet, &[]).0;
    assert_eq!(SerializedFileReader::new(bytes::Bytes::from(empty)).unwrap().num_row_groups(), 0);
}

#[test]
fn large_rows_make_smaller_row_groups() {
    let large = |row: StoredEvent| StoredEvent { action: "x".repeat(60_000), ..row };
    let (bytes, _) = file(Format::Parquet, &events(200).into_iter().map(large).collect::<Vec<_>>());
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 3, "4 MiB of rows each");
}
