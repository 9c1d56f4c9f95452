//! Spans as OTLP says them in JSON: an `ExportTraceServiceRequest` (opentelemetry-proto 1.x), by protobuf's JSON mapping
//! with OTLP's exceptions. Identifiers are hexadecimal, 64-bit integers text, enumerations numbers.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use serde::{Serialize, Serializer};

use super::spans::{Kind, Span, Value};

/// `spans` as one message, those of each service together.
pub(super) fn request(spans: &[Span]) -> Bytes {
    let mut services: BTreeMap<(&str, &str), Vec<Encoded<'_>>> = BTreeMap::new();
    for span in spans {
        services.entry((&span.service, &span.host)).or_default().push(Encoded::of(span));
    }
    let resource_spans = services.into_iter().map(|((service, host), spans)| ResourceSpans {
        resource: Resource {
            attributes: vec![
                attribute("service.name", service),
                attribute("service.namespace", "wwwlab"),
                attribute("host.name", host),
            ],
        },
        scope_spans: [ScopeSpans {
            scope: Scope { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
            spans,
        }],
    });
    let request = Request { resource_spans: resource_spans.collect() };
    // Text and numbers alone: it can always be written.
    Bytes::from(serde_json::to_vec(&request).unwrap_or_default())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: Vec<ResourceSpans<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Encoded<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Encoded<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<&'a str>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: AnyValue<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum AnyValue<'a> {
    StringValue(&'a str),
    #[serde(serialize_with = "as_text")]
    IntValue(u64),
}

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn attribute<'a>(key: &'a str, value: &'a str) -> Attribute<'a> {
    Attribute { key, value: AnyValue::StringValue(value) }
}

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

impl<'a> Encoded<'a> {
    fn of(span: &'a Span) -> Self {
        let attributes = span.attributes.iter().map(|(key, value)| Attribute {
            key,
            value: match value {
                Value::Text(text) => AnyValue::StringValue(text),
                Value::Number(number) => AnyValue::IntValue(*number),
            },
        });
        Self {
            trace_id: &span.trace,
            span_id: &span.id,
            parent_span_id: span.parent.as_deref(),
            name: &span.name,
            kind: match span.kind {
                Kind::Server => 2,
                Kind::Client => 3,
            },
            start_time_unix_nano: nanos(span.begins),
            end_time_unix_nano: nanos(span.begins.saturating_add(span.micros)),
            attributes: attributes.collect(),
            status: span.error.as_deref().map(|message| Status { code: ERROR, message }),
        }
    }
}

/// Microseconds as the text of so many nanoseconds.
fn nanos(micros: u64) -> String {
    (u128::from(micros) * 1_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_the_specification_has_it() {
        let span = Span {
            service: "web".into(),
            host: "server".into(),
            trace: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            id: "00f067aa0ba902b7".into(),
            parent: None,
            name: "GET".into(),
            kind: Kind::Server,
            begins: 1_795_288_500_123_456,
            micros: 1_000,
            attributes: vec![
                ("http.request.method", "GET".into()),
                ("http.response.status_code", 502.into()),
            ],
            error: Some("502".into()),
        };
        let below = Span { parent: Some(span.id.clone()), kind: Kind::Client, error: None, ..span.clone() };
        let other = Span { service: "app".into(), ..span.clone() };
        let said: serde_json::Value = serde_json::from_slice(&request(&[span, other, below])).unwrap();
        let text = |text: &str| serde_json::json!({ "stringValue": text });
        let resource = &said["resourceSpans"][1]["resource"]["attributes"];
        assert_eq!(resource[0], serde_json::json!({ "key": "service.name", "value": text("web") }));
        let scope = &said["resourceSpans"][1]["scopeSpans"][0];
        assert_eq!(scope["scope"]["name"], "wwwlab");
        assert_eq!(
            scope["spans"][0],
            serde_json::json!({
                "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "name": "GET", "kind": 2,
                "startTimeUnixNano": "1795288500123456000", "endTimeUnixNano": "1795288500124456000",
                "attributes": [{ "key": "http.request.method", "value": text("GET") },
                    { "key": "http.response.status_code", "value": { "intValue": "502" } }],
                "status": { "code": 2, "message": "502" },
            })
        );
        let below = &scope["spans"][1];
        assert_eq!((&below["parentSpanId"], &below["kind"]), (&"00f067aa0ba902b7".into(), &3.into()));
        assert!(below.get("status").is_none(), "{below}");
    }
}
