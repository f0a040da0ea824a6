use serde_json::json;

use super::*;
use crate::event::{Origin, decode, identify};

fn now_text() -> String {
    super::super::now().to_rfc3339()
}

/// The id that the pipeline will compute for a record.
fn pipeline_id(record: &Record) -> String {
    let event = decode(&record.payload, &options().decoder).unwrap();
    let origin = Origin { topic: "t".into(), partition: 3, offset: 9, timestamp: 7 };
    identify(&event, event.time.unwrap(), &origin).to_string()
}

#[tokio::test]
async fn a_whole_event_is_published_as_it_came() {
    let service = serve(Model::default()).await;
    let body = format!(
        r#"{{"id": "r-1", "tenant_id":"acme", "event_time":"{}","action":"a.b","x":1.50}}"#,
        now_text()
    );
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = Request::post("/v1/tenants/acme/audit")
        .header(header::CONTENT_TYPE, "application/json")
        .header("traceparent", trace)
        .body(Body::from(body.clone()))
        .unwrap();
    let (status, answered) = answer(service.send(request).await).await;
    assert_eq!(status, 202, "{answered}");
    let records = service.recorder.records();
    assert_eq!(records.len(), 1);
    assert_eq!(service.recorder.records.lock().unwrap()[0].0, EVENTS_TOPIC);
    assert_eq!(records[0].payload, body.as_bytes());
    assert_eq!(records[0].key.as_deref(), Some(&b"acme"[..]));
    let (name, value) = &records[0].headers[0];
    assert_eq!((name.as_str(), &value[..35]), ("traceparent", &trace.as_bytes()[..35]));
    assert_eq!(answered["events"][0]["id"], "r-1");
    assert_eq!(answered["events"][0]["event_id"], pipeline_id(&records[0]));
}

#[tokio::test]
async fn what_is_missing_is_stamped_and_the_receipts_are_what_the_pipeline_will_store() {
    let service = serve(Model::default()).await;
    let (status, answered) = answer(service.post(r#"[{"action":"a"},{"action":"b"}]"#).await).await;
    assert_eq!(status, 202, "{answered}");
    let records = service.recorder.records();
    for (record, receipt) in records.iter().zip(answered["events"].as_array().unwrap()) {
        assert_eq!(receipt["event_id"], pipeline_id(record));
        let event: Value = serde_json::from_slice(&record.payload).unwrap();
        assert_eq!(event["tenant_id"], "acme");
        assert_eq!((&event["id"], &event["event_time"]), (&receipt["id"], &receipt["event_time"]));
    }
    let times: Vec<_> = answered["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| Ticks::parse(e["event_time"].as_str().unwrap()).unwrap())
        .collect();
    assert!(times[0] < times[1], "an array keeps its order");
}

#[tokio::test]
async fn one_refused_event_refuses_all_and_every_rule_is_named() {
    let service = serve(Model::default()).await;
    let body = json!([
        {"action": "good"},
        {"action": ""},
        {"action": "x", "tenant_id": "other"},
        {"action": "x", "event_time": "2020-01-01T00:00:00Z"},
        {"action": "x", "details": {"k": "v".repeat(5000)}},
    ]);
    let (status, problem) = answer(service.post(body.to_string()).await).await;
    assert_eq!(status, 400);
    let errors: Vec<_> = problem["errors"].as_array().unwrap().iter().collect();
    let named: Vec<_> =
        errors.iter().map(|e| (e["index"].as_u64(), e["reason"].as_str())).collect();
    assert_eq!(
        named,
        [
            (Some(1), Some("invalid_id")),
            (Some(2), Some("tenant_mismatch")),
            (Some(3), Some("time_out_of_window")),
            (Some(4), Some("too_large")),
        ]
    );
    assert!(service.recorder.records().is_empty());
}

#[tokio::test]
async fn the_body_is_bounded_and_of_a_known_type() {
    let service = serve(Model::default()).await;
    let many = format!("[{}]", [r#"{"action":"x"}"#; 6].join(","));
    let large = format!(r#"{{"action":"{}"}}"#, "x".repeat(20_000));
    for (kind, body, status) in [
        ("application/json", many.as_str(), 413),
        ("application/json", large.as_str(), 413),
        ("text/plain", "{}", 415),
        ("application/json", "{", 400),
        ("application/json", "[]", 400),
        ("application/json", "7", 400),
        ("application/cloudevents+json", r#"{"action":"x"}"#, 400),
    ] {
        let (answered, problem) = answer(service.post_as(kind, body.to_owned()).await).await;
        assert_eq!(answered, status, "{kind} {body:.40} {problem}");
    }
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1024]));
    let (status, _) = answer(service.post(Body::from_stream(endless)).await).await;
    assert_eq!(status, 413, "without a content-length too");
    assert!(service.recorder.records().is_empty());
}

#[tokio::test]
async fn cloud_events_are_accepted_alone_and_in_batches() {
    let service = serve(Model::default()).await;
    let one = format!(
        r#"{{"specversion":"1.0","id":"ce-1","source":"/s","type":"t","time":"{}","data":{{"action":"x"}}}}"#,
        now_text()
    );
    let (status, answered) =
        answer(service.post_as("application/cloudevents+json", one.clone()).await).await;
    assert_eq!((status.as_u16(), &answered["events"][0]["id"]), (202, &json!("ce-1")));
    let batch = format!("[{one},{one}]");
    let kind = "application/cloudevents-batch+json";
    let (status, answered) = answer(service.post_as(kind, batch).await).await;
    assert_eq!((status.as_u16(), answered["events"].as_array().unwrap().len()), (202, 2));
    let ids: std::collections::BTreeSet<_> =
        service.recorder.records().iter().map(pipeline_id).collect();
    assert_eq!(ids.len(), 1, "three times the same event");
}

#[tokio::test]
async fn a_full_buffer_is_429_and_an_unknown_outcome_is_503_with_the_ids_to_repeat() {
    let service = serve(Model::default()).await;
    let fail = |errors: &[PublishError]| {
        *service.recorder.outcomes.lock().unwrap() = errors.to_vec().into();
    };
    fail(&[PublishError::QueueFull]);
    let response = service.post(r#"{"action":"x"}"#).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    assert_eq!(answer(response).await.0, 429);

    fail(&[PublishError::Refused("no such topic".to_owned())]);
    let (status, problem) = answer(service.post(r#"{"action":"x"}"#).await).await;
    assert_eq!((status.as_u16(), problem.get("events")), (503, None));

    fail(&[PublishError::UnknownOutcome("lost".to_owned())]);
    let response = service.post(r#"[{"action":"x"},{"action":"y","id":"mine"}]"#).await;
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    let (status, problem) = answer(response).await;
    assert_eq!(status, 503);
    let events = problem["events"].as_array().unwrap();
    assert_eq!(events[1]["id"], "mine");

    let mut again = json!([{"action": "x"}, {"action": "y"}]);
    for (event, stamped) in again.as_array_mut().unwrap().iter_mut().zip(events) {
        event["id"] = stamped["id"].clone();
        event["event_time"] = stamped["event_time"].clone();
    }
    let (status, answered) = answer(service.post(again.to_string()).await).await;
    assert_eq!(status, 202);
    assert_eq!(answered["events"], problem["events"], "the same rows");
}

#[tokio::test(start_paused = true)]
async fn no_acknowledgement_in_time_is_an_unknown_outcome() {
    let service = serve(Model::default()).await;
    service.recorder.hangs.store(true, Ordering::Relaxed);
    let (status, problem) = answer(service.post(r#"{"action":"x"}"#).await).await;
    assert_eq!((status.as_u16(), problem["events"].as_array().unwrap().len()), (503, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_408() {
    let service = serve(Model::default()).await;
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let (status, _) = answer(service.post(Body::from_stream(never)).await).await;
    assert_eq!(status, 408);
}
