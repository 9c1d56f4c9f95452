//! `wwwlab zone query`: what a server would answer from a zone file to a plain question over TCP. No server is
//! started: the answer is computed by the function that the servers of the lab call.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::{Failure, World};
use crate::dns::message::asked::{self, Record, Response};
use crate::dns::name::Name;
use crate::dns::types::RecordType;
use crate::ground::bind::Transport;
use crate::services::authoritative::answer::answer;
use crate::services::authoritative::zones::{Served, ZoneSet};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The zone file
    file: PathBuf,
    /// The name to ask for, complete with or without its final dot
    name: String,
    /// The type to ask for
    #[arg(default_value = "A", value_name = "TYPE")]
    record_type: String,
    /// The zone that the file is about [default: what it says, or what it is called]
    #[arg(long, value_name = "ZONE")]
    origin: Option<String>,
    /// Ask for signatures, too (EDNS with DO)
    #[arg(long)]
    dnssec: bool,
    /// Print the answer's octets in hexadecimal, on one line
    #[arg(long)]
    hex: bool,
}

pub(super) fn run(arguments: &Arguments, world: &mut World) -> Result<u8, Failure> {
    let name: Name = arguments
        .name
        .parse()
        .map_err(|cause| Failure::Unusable(format!("`{}` is no name: {cause}", arguments.name)))?;
    let record_type = RecordType::from_word(arguments.record_type.as_bytes()).ok_or_else(|| {
        Failure::Unusable(format!(
            "`{}` is no record type: write e.g. A, MX or TYPE65280",
            arguments.record_type
        ))
    })?;
    let Some(zone) = super::load_sound(&arguments.file, arguments.origin.as_deref(), world)? else {
        return Ok(1);
    };
    let mut zones = ZoneSet::default();
    let origin = zone.origin().clone();
    zones.put(&origin, Served::Zone(Arc::new(zone)));
    let query = asked::plain_query(0, &name, record_type, arguments.dnssec);
    let mut reply = Vec::new();
    if answer(&zones, &query, Transport::Tcp, &mut reply).is_none() {
        return Err(Failure::Said("a server would not answer this".into()));
    }
    if arguments.hex {
        let hex: String = reply.iter().map(|octet| format!("{octet:02x}")).collect();
        writeln!(world.out, "{hex}")?;
        return Ok(0);
    }
    let response = asked::read_response(&reply)
        .map_err(|cause| Failure::Said(format!("the answer cannot be read back: {cause}")))?;
    show(&response, &reply, arguments.dnssec, &mut world.out)?;
    Ok(0)
}

/// As dig shows an answer.
fn show(response: &Response, message: &[u8], dnssec: bool, out: &mut dyn Write) -> io::Result<()> {
    let count = |at: usize| message.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    writeln!(out, ";; ->>HEADER<<- opcode: QUERY, status: {}, id: {}", response.rcode, response.id)?;
    writeln!(
        out,
        ";; flags: {}; QUERY: {}, ANSWER: {}, AUTHORITY: {}, ADDITIONAL: {}",
        response.flags,
        count(4),
        count(6),
        count(8),
        count(10)
    )?;
    if response.edns {
        let flags = if dnssec { " do" } else { "" };
        writeln!(out, "\n;; OPT PSEUDOSECTION:\n; EDNS: version: 0, flags:{flags}; udp: 1232")?;
    }
    if let Some((name, record_type)) = &response.question {
        writeln!(out, "\n;; QUESTION SECTION:\n;{name}\t\tIN\t{record_type}")?;
    }
    let sections = [
        ("ANSWER", &response.answers),
        ("AUTHORITY", &response.authorities),
        ("ADDITIONAL", &response.additionals),
    ];
    for (section, records) in sections.into_iter().filter(|(_, records)| !records.is_empty()) {
        writeln!(out, "\n;; {section} SECTION:")?;
        for Record { name, record_type, ttl, data } in records {
            writeln!(out, "{name}\t{ttl}\tIN\t{record_type}\t{data}")?;
        }
    }
    writeln!(out, "\n;; MSG SIZE  rcvd: {}", message.len())
}
