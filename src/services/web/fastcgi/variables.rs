//! What a script is told of a request, and what its answer's head becomes (RFC 3875 §4.1, §6). Pure.

use std::collections::BTreeMap;
use std::path::Path;

use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::records::pair;

/// The one script: every page is its (a front controller), so that no request can name another file.
const SCRIPT: &str = "/index.php";

/// The variables for `parts`, a request as the proxy sends it, as names and values; scripts are in `root`.
pub(super) fn variables(parts: &Parts, root: &Path) -> Vec<u8> {
    let said = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let https = said("x-forwarded-proto") == "https";
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, port)
        }
        _ => (host, if https { "443" } else { "80" }),
    };
    let root = root.display().to_string();
    let script = format!("{root}{SCRIPT}");
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut out = Vec::new();
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "wwwlab"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", name),
        ("SERVER_PORT", port),
        ("REMOTE_ADDR", said("x-forwarded-for")),
        ("REQUEST_METHOD", parts.method.as_str()),
        ("REQUEST_SCHEME", if https { "https" } else { "http" }),
        ("REQUEST_URI", target),
        ("DOCUMENT_URI", parts.uri.path()),
        ("QUERY_STRING", parts.uri.query().unwrap_or_default()),
        ("SCRIPT_NAME", SCRIPT),
        ("SCRIPT_FILENAME", &script),
        ("DOCUMENT_ROOT", &root),
        // PHP takes no request of which a web server did not say that it went through it.
        ("REDIRECT_STATUS", "200"),
    ] {
        pair(name, value.as_bytes(), &mut out);
    }
    if https {
        pair("HTTPS", b"on", &mut out);
    }
    for (variable, header) in [("CONTENT_LENGTH", CONTENT_LENGTH), ("CONTENT_TYPE", CONTENT_TYPE)] {
        pair(variable, parts.headers.get(header).map_or(b"", HeaderValue::as_bytes), &mut out);
    }
    for (name, value) in from_headers(&parts.headers) {
        pair(&name, &value, &mut out);
    }
    out
}

/// Each header as `HTTP_NAME`, several of a name joined (RFC 3875 §4.1.18).
fn from_headers(headers: &HeaderMap) -> BTreeMap<String, Vec<u8>> {
    let mut variables = BTreeMap::new();
    for name in headers.keys() {
        // `Proxy` would become HTTP_PROXY, which programs take for a setting of theirs (CVE-2016-5385); and a name with
        // `_` could pass itself off as another's.
        let not_told = name == CONTENT_LENGTH || name == CONTENT_TYPE || name == "proxy";
        if not_told || name.as_str().contains('_') {
            continue;
        }
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let joined = values.join(if name == COOKIE { &b"; "[..] } else { &b", "[..] });
        variables.insert(format!("HTTP_{}", name.as_str().to_ascii_uppercase().replace('-', "_")), joined);
    }
    variables
}

/// A script's head as a response's, without its body; nothing if it is none.
pub(super) fn response(head: &[u8]) -> Option<Response<()>> {
    let mut response = Response::new(());
    let mut status = None;
    for line in head.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"status") {
            let code = StatusCode::from_bytes(value.get(..3)?).ok()?;
            // An interim answer has no place in a script's head.
            status = Some(code).filter(|code| code.as_u16() >= 200);
            status?;
        } else {
            response
                .headers_mut()
                .append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
    }
    let default = if response.headers().contains_key(LOCATION) { StatusCode::FOUND } else { StatusCode::OK };
    *response.status_mut() = status.unwrap_or(default);
    Some(response)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn told(request: hyper::http::request::Builder) -> String {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        String::from_utf8_lossy(&variables(&parts, Path::new("/lab/php"))).into_owned()
    }

    #[test]
    fn the_script_is_the_same_whatever_is_asked_for() {
        let said = told(Request::get("/../../etc/passwd.php/x?a=b"));
        assert!(said.contains("SCRIPT_FILENAME/lab/php/index.php"), "{said}");
        assert!(said.contains("REQUEST_URI/../../etc/passwd.php/x?a=b") && said.contains("QUERY_STRINGa=b"));
    }

    #[test]
    fn who_asked_and_how_is_the_web_servers_word() {
        let request = Request::post("/")
            .header("host", "www.foobar.com:8080")
            .header("x-forwarded-for", "192.0.2.10")
            .header("x-forwarded-proto", "https")
            .header("proxy", "evil")
            .header("content_length", "7")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let said = told(request);
        for part in ["REMOTE_ADDR192.0.2.10", "HTTPSon", "SERVER_PORT8080", "HTTP_COOKIEa=1; b=2"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("evil") && !said.contains("HTTP_CONTENT_LENGTH"), "{said}");
    }

    #[test]
    fn a_scripts_head_becomes_a_responses() {
        let made = response(b"Status: 404 Not Found\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n").unwrap();
        assert_eq!(made.status(), 404);
        assert_eq!(made.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response(b"Location: /x\n").unwrap().status(), 302);
        assert_eq!(response(b"Content-type: text/html\n").unwrap().status(), 200);
        for bad in [&b"no colon\n"[..], b"Status: 7\n", b"Status: 100 Continue\n", b"a b: c\n", b"x: \0\n"] {
            assert!(response(bad).is_none(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
