//! A ruleset as `nft -a list ruleset` prints it: what a student is shown, and which rules counted what.
//!
//! Pure. It is read as text, since not every nft was built with its JSON, and since a rule is shown as it was written. What
//! is not understood is left out, never guessed: whoever administers a machine may make any table there.

use serde::{Deserialize, Serialize};

/// Tables whose names begin so are the lab's own, and part of no firewall.
pub const RESERVED: &str = "wwwlab_";
/// What nft puts before the number by which the kernel knows something.
const HANDLE: &str = " # handle ";

/// All tables of a machine that are its firewall's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruleset {
    /// In the kernel's order.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// `inet`, `ip`, `ip6`, `arp`, `bridge`, `netdev`.
    pub family: String,
    /// Its name.
    pub name: String,
    /// The kernel's number for it, on this machine.
    pub handle: u64,
    /// Its chains.
    pub chains: Vec<Chain>,
}

/// A chain of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where packets enter it: `input`, `forward`, …; nothing where only rules lead to it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hook: Option<String>,
    /// What becomes of a packet that no rule decided on: `accept`, `drop`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
    /// In the order in which a packet meets them.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The kernel's number for it, in its table.
    pub handle: u64,
    /// As nft writes it, without what its counter says.
    pub text: String,
    /// What its counter says, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counter: Option<Counter>,
}

/// What a rule counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Their bytes, from the IP header on.
    pub bytes: u64,
}

impl Ruleset {
    /// Reads what nft printed. Tables of the lab's own are left out.
    pub fn read(text: &str) -> Self {
        let mut tables: Vec<Table> = Vec::new();
        let (mut ours, mut in_chain, mut pending) = (false, false, String::new());
        for line in text.lines() {
            let depth = line.bytes().take_while(|&byte| byte == b'\t').count();
            let words = line.trim();
            match depth {
                0 if words.starts_with("table ") => {
                    let table = Table::read(words);
                    ours = table.is_some();
                    tables.extend(table);
                    in_chain = false;
                }
                _ if !ours => {}
                1 => {
                    let name = words.strip_prefix("chain ").map(|rest| open(rest).0);
                    in_chain = name.is_some();
                    pending.clear();
                    if let (Some(name), Some(table)) = (name, tables.last_mut()) {
                        let chain = Chain { name: name.into(), hook: None, policy: None, rules: Vec::new() };
                        table.chains.push(chain);
                    }
                }
                2.. if in_chain => {
                    let chain = tables.last_mut().and_then(|table| table.chains.last_mut());
                    let Some(chain) = chain else { continue };
                    if pending.is_empty() && chain.rules.is_empty() && words.starts_with("type ") {
                        chain.enter(words);
                    } else if let (words, Some(handle)) = open(words) {
                        pending.push_str(words);
                        chain.rules.push(Rule::read(&pending, handle));
                        pending.clear();
                    } else if !words.starts_with("comment ") {
                        // A rule with a chain of its own inside, which ends with its number.
                        pending.push_str(words);
                        pending.push(' ');
                    }
                }
                _ => {}
            }
        }
        Self { tables }
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.chains().map(|(_, chain)| chain.rules.len()).sum()
    }

    /// Each chain, with its table.
    pub fn chains(&self) -> impl Iterator<Item = (&Table, &Chain)> {
        self.tables.iter().flat_map(|table| table.chains.iter().map(move |chain| (table, chain)))
    }

    /// Which rules counted something since the same machine's ruleset was `before`, and what.
    pub fn counted_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a Rule, Counter)> {
        self.chains().flat_map(move |(table, chain)| {
            let former = before.tables.iter().find(|former| former.handle == table.handle);
            let counted = move |rule: &'a Rule| {
                let now = rule.counter?;
                let known = former.into_iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
                let then = known.filter(|then| then.handle == rule.handle).find_map(|then| then.counter);
                let then = then.unwrap_or_default();
                let counted = Counter {
                    packets: now.packets.saturating_sub(then.packets),
                    bytes: now.bytes.saturating_sub(then.bytes),
                };
                (counted.packets > 0).then_some((rule, counted))
            };
            chain.rules.iter().filter_map(counted)
        })
    }
}

impl Table {
    /// Of its first line; nothing if it is the lab's own, or no such line.
    fn read(words: &str) -> Option<Self> {
        let (words, handle) = open(words);
        let (family, name) = words.strip_prefix("table ")?.split_once(' ')?;
        (!name.starts_with(RESERVED)).then_some(Self {
            family: family.into(),
            name: name.into(),
            handle: handle?,
            chains: Vec::new(),
        })
    }
}

impl Chain {
    /// Reads `type filter hook input priority filter; policy drop;`.
    fn enter(&mut self, words: &str) {
        let mut words = words.split([' ', ';']).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            match word {
                "hook" => self.hook = words.next().map(str::to_owned),
                "policy" => self.policy = words.next().map(str::to_owned),
                _ => {}
            }
        }
    }
}

impl Rule {
    fn read(text: &str, handle: u64) -> Self {
        let bare = unquoted(text);
        let counter = bare.find("counter packets ").and_then(|at| {
            let mut words = bare.get(at..)?.split(' ');
            let packets = words.nth(2)?;
            let bytes = words.nth(1)?;
            let counter = Counter { packets: packets.parse().ok()?, bytes: bytes.parse().ok()? };
            Some((format!(" packets {packets} bytes {bytes}"), counter))
        });
        let text = match &counter {
            Some((said, _)) => text.replacen(said, "", 1),
            None => text.to_owned(),
        };
        Self { handle, text, counter: counter.map(|(_, counter)| counter) }
    }

    /// What it does with a packet: `accept`, `drop` or `reject`; nothing where that depends, or goes on elsewhere.
    pub fn verdict(&self) -> Option<&'static str> {
        let bare = unquoted(&self.text);
        // What is in braces is chosen from: a set, a map of verdicts.
        let after = bare.rsplit_once('}').map_or(bare.as_str(), |(_, after)| after);
        ["accept", "drop", "reject"].into_iter().find(|&verdict| after.split(' ').any(|word| word == verdict))
    }
}

/// What nft printed, for people: without the kernel's numbers and without the lab's own tables.
pub fn listing(text: &str) -> String {
    let mut listing = String::with_capacity(text.len());
    let mut ours = true;
    for line in text.lines() {
        if line.starts_with("table ") {
            ours = Table::read(line).is_some();
        }
        if ours {
            listing.push_str(line.rsplit_once(HANDLE).map_or(line, |(line, _)| line));
            listing.push('\n');
        }
    }
    listing
}

/// A line without its number and without the brace that it opens; and the number.
fn open(words: &str) -> (&str, Option<u64>) {
    let (words, handle) = match words.rsplit_once(HANDLE) {
        Some((words, handle)) => (words, handle.parse().ok()),
        None => (words, None),
    };
    (words.strip_suffix(" {").unwrap_or(words), handle)
}

/// `text` with blanks in place of what stands in quotation marks, byte for byte.
fn unquoted(text: &str) -> String {
    let mut inside = false;
    let blank = |character: char| {
        inside ^= character == '"';
        if inside || character == '"' { " ".repeat(character.len_utf8()) } else { character.to_string() }
    };
    text.chars().map(blank).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As nft 1.0.6 printed it.
    const PRINTED: &str = "\
table inet firewall { # handle 1
\tset s { # handle 10
\t\ttype inet_service
\t\telements = { 1, 2, 3, 4, 5,
\t\t\t     6, 7 }
\t}

\tchain input { # handle 1
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established,related counter packets 12 bytes 3400 accept comment \"counter packets 9 bytes 9 drop\" # handle 2
\t\tiif \"lo\" accept # handle 3
\t\ttcp dport { 53, 80 } counter packets 3 bytes 180 accept # handle 5
\t\ttcp dport 81 counter packets 0 bytes 0 log prefix \"drop\" reject with tcp reset # handle 6
\t}

\tchain other { # handle 8
\t\ttype filter hook forward priority filter; policy accept;
\t\ttcp dport 80 jump {
\t\t\tcounter packets 4 bytes 5 accept
\t\t} # handle 13
\t\ttcp dport vmap { 22 : drop, 23 : accept } # handle 14
\t}
}
table inet wwwlab_faults { # handle 2
\tchain out { # handle 1
\t\tcounter packets 1 bytes 1 drop # handle 2
\t}
}
";

    #[test]
    fn a_ruleset_is_read_and_the_labs_own_tables_are_not() {
        let ruleset = Ruleset::read(PRINTED);
        assert_eq!(ruleset.tables.len(), 1);
        let table = &ruleset.tables[0];
        assert_eq!((table.family.as_str(), table.name.as_str(), table.handle), ("inet", "firewall", 1));
        let names: Vec<_> = table.chains.iter().map(|chain| chain.name.as_str()).collect();
        assert_eq!(names, ["input", "other"]);
        let input = &table.chains[0];
        assert_eq!((input.hook.as_deref(), input.policy.as_deref()), (Some("input"), Some("drop")));
        assert_eq!(input.rules.len(), 4);
        assert_eq!(input.rules[0].counter, Some(Counter { packets: 12, bytes: 3400 }));
        assert!(
            input.rules[0]
                .text
                .starts_with("ct state established,related counter accept comment \"counter packets 9")
        );
        assert_eq!((input.rules[1].counter, input.rules[1].text.as_str()), (None, "iif \"lo\" accept"));
        let verdicts: Vec<_> = input.rules.iter().map(Rule::verdict).collect();
        assert_eq!(verdicts, [Some("accept"), Some("accept"), Some("accept"), Some("reject")]);
        let other = &table.chains[1];
        assert_eq!(other.rules.len(), 2);
        assert_eq!(
            (other.rules[0].handle, other.rules[0].text.as_str()),
            (13, "tcp dport 80 jump { counter accept }")
        );
        assert_eq!((other.rules[1].handle, other.rules[1].verdict()), (14, None));
        assert_eq!(ruleset.rules(), 6);
    }

    #[test]
    fn what_was_counted_since_is_the_difference() {
        let before = Ruleset::read(PRINTED);
        let after = Ruleset::read(&PRINTED.replace("packets 3 bytes 180", "packets 5 bytes 300"));
        let counted: Vec<_> =
            after.counted_since(&before).map(|(rule, counted)| (rule.handle, counted)).collect();
        assert_eq!(counted, [(5, Counter { packets: 2, bytes: 120 })]);
        assert_eq!(before.counted_since(&before).count(), 0);
        let from_nothing = Ruleset::default();
        assert_eq!(
            before.counted_since(&from_nothing).count(),
            3,
            "what is new has counted all that it says"
        );
    }

    #[test]
    fn the_listing_is_as_nft_prints_it_without_numbers() {
        let shown = listing(PRINTED);
        assert!(!shown.contains("# handle") && !shown.contains(RESERVED), "{shown}");
        assert!(shown.contains("\t\tiif \"lo\" accept\n") && shown.ends_with("\t}\n}\n"), "{shown}");
        assert_eq!(listing(""), "");
    }

    proptest! {
        #[test]
        fn nothing_that_is_printed_is_too_odd(text in "(table |\t|\t\t|chain |counter packets |\"|\\{|\\}|[0-9]| # handle |\n|\\PC){0,60}") {
            let ruleset = Ruleset::read(&text);
            prop_assert!(ruleset.tables.iter().all(|table| !table.name.starts_with(RESERVED)));
            let _ = listing(&text);
        }
    }
}
