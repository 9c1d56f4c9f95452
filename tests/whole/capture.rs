//! `wwwlab capture`: what passes the machines of network `hosts`, and what the real tshark and capinfos read of it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::hosts::{on, on_hosts, one_at_a_time, place, up};
use super::ordinary_user::{Ending, as_user};
use super::stage::{PATIENCE, PROGRAM, Said, Stage, signal};

/// `wwwlab capture`, which is listening.
struct Capture {
    process: Child,
    lines: Receiver<String>,
    said: BufReader<std::process::ChildStderr>,
}

impl Capture {
    fn with(stage: &Stage, arguments: &[&str]) -> Self {
        let mut command = stage.command(PROGRAM);
        command.arg("capture").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut first = String::new();
        said.read_line(&mut first).unwrap();
        assert!(first.starts_with("listening on "), "{first}");
        Self { process, lines, said }
    }

    /// The next line that has all of `parts`.
    fn next(&self, parts: &[&str]) -> String {
        let patience = Instant::now();
        let mut others = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE.saturating_sub(patience.elapsed()));
            let line = line.unwrap_or_else(|_| panic!("no line has {parts:?}; there were {others:#?}"));
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
            others.push(line);
        }
    }

    /// Ends it as ^C does; what it said then, and how it exited.
    fn end(self) -> (String, i32) {
        signal(self.process.id(), "INT");
        self.ended()
    }

    fn ended(mut self) -> (String, i32) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (rest, self.process.wait().unwrap().code().unwrap_or(-1))
    }
}

/// What tshark reads of the packets that `filter` wants: `fields` of each, with tabs between. It must not warn.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-Y", filter, "-r"]).arg(file);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark is installed");
    assert_eq!(said(&output), "", "of {filter}");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What a program of Wireshark says beside its work; of itself that it is run by root.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| !line.starts_with("Running as user \"root\"")).collect()
}

/// A file that Wireshark's programs read from its first to its last octet.
#[track_caller]
fn is_sound(file: &Path) {
    assert_eq!(tshark(file, "_ws.malformed", &["frame.number"]), [] as [String; 0]);
    let info = Command::new("capinfos").arg(file).output().expect("capinfos comes with tshark");
    assert!(info.status.success() && said(&info).is_empty(), "{info:?}");
    assert!(String::from_utf8_lossy(&info.stdout).contains("pcapng"));
}

fn visit(stage: &Stage, line: &str) -> Said {
    let said = on(&place(stage, "client"), line);
    assert_eq!(said.code, 0, "{said:?}");
    said
}

#[test]
fn a_visit_is_told_packet_by_packet() {
    let _turn = one_at_a_time();
    let stage = up();
    let capture = Capture::with(&stage, &[]);
    visit(&stage, "curl -s -4 http://www.foobar.com/guestbook");
    capture.next(&["client › resolver", "DNS query A www.foobar.com"]);
    capture.next(&["resolver › root", "DNS query"]);
    capture.next(&["resolver › client", "DNS answer A 8.8.8.8"]);
    capture.next(&["client › server", "TCP SYN"]);
    capture.next(&["server › client", "TCP SYN-ACK"]);
    capture.next(&["client › server", "TCP ACK"]);
    capture.next(&["client › server", "HTTP GET /guestbook"]);
    capture.next(&["server › server", "HTTP GET /guestbook"]);
    capture.next(&["server › client", "HTTP 200 OK"]);
    capture.next(&["TCP FIN"]);
    visit(&stage, "ping -n -c1 -W30 8.8.8.8");
    capture.next(&["client › server", "ICMP echo request"]);
    capture.next(&["server › client", "ICMP echo reply"]);
    let (said, code) = capture.end();
    assert!(code == 0 && said.contains(" packets, 0 dropped by the kernel"), "{said}");
}

#[test]
fn each_interface_on_the_way_sees_a_packet_and_the_origin_alone_is_told() {
    let _turn = one_at_a_time();
    let stage = up();
    let everywhere = Capture::with(&stage, &["--host", "home", "--host", "server"]);
    let begins = Capture::with(&stage, &[]);
    visit(&stage, "ping -n -c1 -W30 8.8.8.8");
    for at in ["home lan ", "home wan ", "server eth0 "] {
        everywhere.next(&[at, "client › server", "ICMP echo request"]);
    }
    begins.next(&["ICMP echo request"]);
    begins.next(&["ICMP echo reply"]);
    visit(&stage, "ping -n -c1 -W30 192.0.2.53");
    assert!(begins.next(&["ICMP echo re"]).contains("client › resolver"), "each was told once");
    let (said, code) = begins.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(everywhere.end().1, 0);
}

#[test]
fn wireshark_reads_the_file_and_finds_the_requests() {
    let _turn = one_at_a_time();
    let stage = up();
    let file = stage.root().join("visit.pcapng");
    let capture = Capture::with(&stage, &["-w", "visit.pcapng"]);
    let page = visit(&stage, "curl -s -4 -i http://www.foobar.com/guestbook").out;
    let field = page.lines().find(|line| line.to_ascii_lowercase().starts_with("x-request-id: ")).unwrap();
    let id = field.split(' ').nth(1).unwrap().trim();
    // Secrets as a browser's library writes them down.
    let keys = format!("CLIENT_RANDOM {} {}\n", "0a".repeat(32), "0b".repeat(48));
    fs::write(stage.root().join(".wwwlab/hosts/tls-keys.log"), &keys).unwrap();
    let (said, code) = capture.end();
    assert!(code == 0 && said.contains("written to visit.pcapng"), "{said}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    is_sound(&file);
    let comment = "frame.comment";
    // On the way from the client: home, isp, internet have two interfaces each, client and server one.
    // What passes a second interface is a retransmission to tshark, which reads HTTP from the first alone.
    let seen = tshark(&file, "tcp.len > 0 && ip.src == 192.0.2.10", &["frame.interface_name", comment]);
    for at in [
        "client eth0",
        "home lan",
        "home wan",
        "isp home",
        "isp internet",
        "internet isp",
        "internet server",
        "server eth0",
    ] {
        let line = seen.iter().find(|line| line.starts_with(&format!("{at}\t")));
        let line = line.unwrap_or_else(|| panic!("nothing at {at}: {seen:#?}"));
        assert!(line.contains(&format!("request {id}: web: GET www.foobar.com/guestbook → 200")), "{line}");
    }
    let proxied = tshark(&file, "http.request && ip.src == 8.8.8.8", &["frame.interface_name", comment]);
    assert!(proxied[0].starts_with("server lo\t") && proxied[0].contains(&format!("request {id}: app")));
    let syn = tshark(&file, "tcp.flags.syn == 1 && ip.src == 192.0.2.10", &[comment]);
    assert!(!syn.is_empty() && syn.iter().all(|line| line.contains(id)), "{syn:?}");
    let asked = tshark(&file, "dns.flags.response == 0 && ip.dst == 192.0.2.53", &["dns.qry.name", comment]);
    assert!(asked[0].starts_with("www.foobar.com\tresolver: www.foobar.com. A → NOERROR"), "{asked:?}");
    // Whichever of its addresses the resolver took.
    let walked = tshark(&file, "dns && frame.interface_name == \"root eth0\"", &[comment]);
    assert!(walked.iter().any(|line| line.starts_with("root: ") && line.contains(", walk ")), "{walked:?}");
    let written = fs::read(&file).unwrap();
    assert!(written.windows(keys.len()).any(|part| part == keys.as_bytes()), "the secrets are in it");
}

/// What Wireshark's programs see of a page asked for by HTTPS, where the lab keeps the secrets or not: its path, as often as
/// the packets show it.
fn seen_of_https(key_log: bool) -> Vec<String> {
    let stage = on_hosts(Stage::new());
    let settings = format!("[web]\ntls = \"on\"\nkey_log = {key_log}");
    stage.edit("lab.toml", |text| text.replacen("[web]", &settings, 1));
    stage.wwwlab(["up", "-d"]).ok();
    let capture = Capture::with(&stage, &["-w", "secure.pcapng", "--host", "client"]);
    let line = ["shell", "--", "curl", "-s", "-S", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"];
    let said = stage.wwwlab(line.into_iter().chain(["https://www.foobar.com/guestbook?in=clear"]));
    assert_eq!(said.ok(), "2 200");
    let (said, code) = capture.end();
    assert_eq!(code, 0, "{said}");
    let file = stage.root().join("secure.pcapng");
    is_sound(&file);
    assert!(
        !tshark(&file, "tls.handshake.type == 1", &["frame.number"]).is_empty(),
        "the handshake is in it"
    );
    let paths = tshark(&file, "http2.headers.path", &["http2.headers.path"]);
    stage.wwwlab(["down"]).ok();
    paths
}

#[test]
fn with_the_secrets_https_is_read_in_clear_and_without_them_not() {
    let _turn = one_at_a_time();
    let seen = seen_of_https(true);
    assert!(seen.iter().any(|path| path == "/guestbook?in=clear"), "{seen:?}");
    assert_eq!(seen_of_https(false), [] as [String; 0]);
}

#[test]
fn a_password_is_read_on_the_way_by_http_and_not_by_https() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    stage.wwwlab(["up", "-d"]).ok();
    stage.wwwlab(["secure"]).ok();
    let password = "correct-horse-battery";
    for (scheme, is_read) in [("http", true), ("https", false)] {
        let name = format!("{scheme}.pcapng");
        // What the provider's router sees, as anybody on the way would.
        let capture = Capture::with(&stage, &["-w", &name, "--host", "isp"]);
        let form = format!("name={scheme}&password={password}");
        let url = format!("{scheme}://www.foobar.com/register");
        let line = ["shell", "--", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-d", &form, &url];
        assert_eq!(stage.wwwlab(line).ok(), "303", "registered by {scheme}");
        assert_eq!(capture.end().1, 0);
        let file = stage.root().join(&name);
        is_sound(&file);
        // In the packets, not in what the lab notes beside them.
        let holds =
            |text: &str| !tshark(&file, &format!("frame contains {text:?}"), &["frame.number"]).is_empty();
        assert_eq!(holds(password), is_read, "the password, by {scheme}");
        assert_eq!(holds("/register"), is_read, "the path, by {scheme}");
        // Who is visited can be read in either case: in the request, in the handshake.
        assert!(holds("www.foobar.com"), "the name, by {scheme}");
    }
    stage.wwwlab(["down"]).ok();
}

#[test]
fn it_ends_by_itself_and_by_the_lab_and_the_file_is_whole() {
    let _turn = one_at_a_time();
    let stage = up();
    let counted = Capture::with(&stage, &["-w", "two.pcapng", "--count", "2", "--host", "client"]);
    let timed = Capture::with(&stage, &["--duration", "1ms", "--snaplen", "64", "-w", "none.pcapng"]);
    let by_lab = Capture::with(&stage, &["-w", "lab.pcapng", "--snaplen", "64"]);
    visit(&stage, "curl -s -4 http://www.foobar.com/");
    assert_eq!(counted.ended().1, 0);
    assert_eq!(timed.ended().1, 0);
    stage.wwwlab(["down"]).ok();
    let (said, code) = by_lab.ended();
    assert!(code == 3 && said.contains("is not up"), "{said}");
    let file = |name: &str| stage.root().join(name);
    let all = |name| {
        is_sound(&file(name));
        tshark(&file(name), "frame", &["frame.cap_len", "frame.len", "frame.interface_name"])
    };
    let two = all("two.pcapng");
    assert!(two.len() == 2 && two.iter().all(|line| line.contains("\tclient ")), "{two:?}");
    all("none.pcapng");
    let cut = all("lab.pcapng");
    assert!(cut.iter().any(|line| line.starts_with("64\t")), "{cut:?}");
    assert!(cut.iter().all(|line| !line.starts_with("65")), "{cut:?}");
}

#[test]
fn a_pipe_is_read_as_it_is_written() {
    let _turn = one_at_a_time();
    let stage = up();
    let mut capture = stage.command(PROGRAM);
    capture.args(["capture", "-w", "-", "--count", "3"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut capture = capture.spawn().unwrap();
    let mut said = BufReader::new(capture.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    let mut reader = Command::new("tshark");
    reader.args(["-n", "-r", "-"]).stdin(capture.stdout.take().unwrap());
    let reader = reader.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tshark is installed");
    visit(&stage, "ping -n -c1 -W30 8.8.8.8");
    assert_eq!(capture.wait().unwrap().code(), Some(0));
    let read = reader.wait_with_output().unwrap();
    assert_eq!(self::said(&read), "");
    assert_eq!(String::from_utf8_lossy(&read.stdout).lines().count(), 3);
}

#[test]
fn a_disk_that_is_full_leaves_what_was_written() {
    let _turn = one_at_a_time();
    let stage = up();
    let line = format!("trap '' XFSZ; ulimit -f 128; exec '{PROGRAM}' capture -w full.pcapng");
    let mut capture = stage.command("sh");
    capture.args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut capture = capture.spawn().unwrap();
    let mut said = BufReader::new(capture.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    let client = place(&stage, "client");
    let patience = Instant::now();
    while capture.try_wait().unwrap().is_none() {
        assert!(patience.elapsed() < PATIENCE, "it goes on");
        on(&client, "curl -s -4 http://www.foobar.com/");
    }
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("cannot write full.pcapng: File too large"), "{rest}");
    assert_eq!(capture.wait().unwrap().code(), Some(1));
    is_sound(&stage.root().join("full.pcapng"));
}

#[test]
fn where_it_cannot_be_done_it_says_what_it_needs() {
    let _turn = one_at_a_time();
    let stage = Stage::new();
    let refused = stage.wwwlab(["capture"]).refused(2);
    assert!(refused.contains("network `hosts`") && refused.contains("up --network hosts"), "{refused}");
    let stage = on_hosts(stage);
    assert!(stage.wwwlab(["capture"]).refused(3).contains("is not up"));
    stage.wwwlab(["up", "-d"]).ok();
    let refused = stage.wwwlab(["capture", "--host", "sevrer"]).refused(2);
    assert!(refused.contains("did you mean `server`?"), "{refused}");
    let refused = stage.wwwlab(["capture", "-w", "no/such/place.pcapng"]).refused(1);
    assert!(refused.contains("cannot write no/such/place.pcapng"), "{refused}");
    // From a machine of the lab, too.
    let inside = ["shell", "client", "--", PROGRAM, "capture", "--count", "1", "--host", "server"];
    let mut capture = stage.command(PROGRAM);
    let mut capture = capture.args(inside).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(capture.stderr.as_mut().unwrap()).read_line(&mut first).unwrap();
    visit(&stage, "ping -n -c1 -W30 8.8.8.8");
    let output = capture.wait_with_output().unwrap();
    assert!(output.status.success(), "{first}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("server eth0"), "{output:?}");
}

#[test]
fn an_ordinary_user_captures() {
    let _turn = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs::copy(PROGRAM, here.join("wwwlab")).unwrap();
    fs::set_permissions(here, fs::Permissions::from_mode(0o777)).unwrap();
    as_user(here, "wwwlab new lab").ok();
    let lab = here.join("lab");
    let _end = Ending(&lab);
    as_user(&lab, "../wwwlab up -d --network hosts").ok();
    let line = "../wwwlab capture -w a.pcapng --count 4 2>said & while ! grep -q listening said && kill -0 $!; do sleep 0.1; done; \
                ../wwwlab shell client -- ping -n -c1 -W30 8.8.8.8 && wait $!";
    as_user(&lab, line).ok();
    as_user(&lab, "../wwwlab down --network hosts").ok();
    is_sound(&lab.join("a.pcapng"));
    assert_eq!(tshark(&lab.join("a.pcapng"), "frame", &["frame.number"]).len(), 4);
}
