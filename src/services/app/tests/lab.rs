//! One application for one test, and how a test talks to it: over a socket, in bytes.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ground::journal::{Told, journal};
use crate::ground::service::Service as _;
use crate::services::app::{App, Config, Sessions};
use crate::services::database::withhold::{self, Withheld};

/// An application of its own for one test.
pub(super) struct Lab {
    pub(super) directory: TempDir,
    pub(super) app: App,
    pub(super) told: Told,
}

impl Lab {
    pub(super) async fn up() -> Self {
        Self::with(|_| ()).await
    }

    /// One with a database of a server, named by `url_file`.
    pub(super) async fn up_with_a_server(url_file: PathBuf) -> Self {
        Self::with(|config| (config.database, config.database_url_file) = (None, Some(url_file))).await
    }

    /// One whose settings are changed by `tell`.
    pub(super) async fn with(tell: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            code: Path::new(env!("CARGO_MANIFEST_DIR")).join("app"),
            database: Some(directory.path().join("state/guestbook.db")),
            database_url_file: None,
            sessions: Sessions::default(),
            trusted_proxy: vec!["127.0.0.1".parse().unwrap()],
            served_by: "web-01".into(),
        };
        tell(&mut config);
        let (journal, told) = journal();
        let app = App::start(config, journal).await.unwrap();
        Self { directory, app, told }
    }

    pub(super) fn database(&self) -> PathBuf {
        self.directory.path().join("state/guestbook.db")
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.app.listening()[0].address).await.unwrap()
    }

    /// Sends a request with these header lines and this body on a connection of its own.
    pub(super) async fn ask(&self, request_line: &str, headers: &[&str], body: &str) -> Answer {
        let mut request = format!("{request_line} HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if request_line.starts_with("POST") {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Answer::parse(&answer)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "").await
    }

    pub(super) async fn post(&self, form: &str) -> Answer {
        self.ask("POST /guestbook", &["Content-Type: application/x-www-form-urlencoded"], form).await
    }

    pub(super) async fn withhold(&self) -> Withheld {
        let config = withhold::Config { withhold: Some(self.database()), ..withhold::Config::default() };
        Withheld::start(config, journal().0).await.unwrap()
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}
