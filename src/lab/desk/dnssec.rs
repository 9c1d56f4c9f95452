//! Zones signed, and left unsigned again, and their keys replaced, while the lab is up.

use crate::ground::channel::{Ask, Reply, ZoneState};
use crate::ground::clock;
use crate::ground::service::causes;

use super::super::control::{Response, Verb};
use super::super::dnssec::{Change, DnssecError, SIGNERS, Signing, copies};
use super::super::hosts::ServiceName;
use super::super::status::State;
use super::Desk;

/// After how long it is tried again to take away a key whose time is over, in seconds.
const TRIED_AGAIN: u32 = 10;

impl Desk {
    /// Makes `change`: has the name servers sign so, then the resolvers believe so. These forget what they heard before, unless
    /// a key is replaced below the root.
    pub(super) async fn dnssec(&self, change: &Change) -> Response {
        let _one_at_a_time = self.securing.lock().await;
        self.make(change).await
    }

    /// The same by whom nobody else changes anything meanwhile.
    async fn make(&self, change: &Change) -> Response {
        let design = &self.design;
        let stands_still = self.concerned().find(|&(name, _)| {
            self.post(name).is_some_and(|post| self.service(post).condition.state == State::Paused)
        });
        if let Some((name, _)) = stands_still {
            let remedy =
                format!("{name} stands still and cannot be told: `wwwlab resume {name}`, then again");
            return Response::Refused(vec![remedy]);
        }
        if let (Change::Roll(_) | Change::Sign(_), Some(why)) = (change, self.unseen(change)) {
            return Response::Refused(vec![why]);
        }
        let former = design.dnssec.get();
        let next = match former.next(change, &design.config, &design.directory) {
            Ok(next) => next,
            Err(error) => return Response::Refused(causes(&error)),
        };
        // First: who starts meanwhile starts with it.
        design.dnssec.put(next.clone());
        let tells_resolvers = change.is_forgotten() || former.anchors() != next.anchors();
        let concerned = |(name, _): &(ServiceName, Ask)| tells_resolvers || SIGNERS.contains(name);
        let orders = |signing| {
            self.orders(change, signing).into_iter().filter(concerned).collect::<Vec<(ServiceName, Ask)>>()
        };
        let (before, after) = (orders(&former), orders(&next));
        let mut served = Vec::new();
        for (index, (name, ask)) in after.iter().enumerate() {
            let is_up = self.post(*name).is_some_and(|post| post.condition.borrow().pid.is_some());
            if !is_up {
                continue;
            }
            let refused = match self.ask(*name, ask.clone()).await {
                Ok(Reply::Zones(zones)) => match unsigned(change, ask, &zones) {
                    // Its parents, which would vouch for it, are not told yet.
                    Some(why) => why,
                    None => {
                        served.extend(zones);
                        continue;
                    }
                },
                Ok(Reply::Done) => continue,
                Ok(Reply::Refused(why)) | Err(why) => why,
                Ok(_) => vec![format!("{name} answered something else")],
            };
            // The files for others are as they were, too; if not, the next change says so.
            let _ = former.write_anchor(&design.directory);
            design.dnssec.put(former.clone());
            // Whoever does not answer may still obey: behind the order goes the one that takes it back, to who was told last first.
            for (name, ask) in before.into_iter().take(index + 1).rev() {
                self.order(name, ask).await;
            }
            self.copy_anew(&next, &former).await;
            return Response::Refused(refused);
        }
        if let Err(error) = self.follow_up(change, next.clone(), &served) {
            return Response::Refused(causes(&error));
        }
        self.copy_anew(&former, &next).await;
        Response::Done(String::new())
    }

    /// What is left to do when the servers serve as `change` wants it.
    fn follow_up(
        &self,
        change: &Change,
        mut signing: Signing,
        served: &[ZoneState],
    ) -> Result<(), DnssecError> {
        match change {
            Change::Roll(zone) => {
                let longest = remembered(zone, served);
                signing.wait(zone, longest, clock::unix_seconds());
                self.journal.note(format!("zone {zone} has a second key: the first goes in {longest} s"));
            }
            Change::Replace(zone) => {
                signing.settle(&self.design.directory)?;
                self.journal.note(format!("zone {zone} has one key again: the former one is gone"));
            }
            _ => return Ok(()),
        }
        self.design.dnssec.put(signing);
        Ok(())
    }

    /// Why it cannot be seen what came of `change`, or how long anybody remembers what was served before.
    fn unseen(&self, change: &Change) -> Option<String> {
        let is_down =
            |name: &ServiceName| self.post(*name).is_some_and(|post| post.condition.borrow().pid.is_none());
        let reason = match change {
            Change::Sign(_) => "what it cannot sign now would be vouched for",
            _ => "what it published is still remembered",
        };
        SIGNERS
            .into_iter()
            .find(is_down)
            .map(|name| format!("{name} is down, and {reason}: `wwwlab start {name}`, then again"))
    }

    /// What a name server tells of its zones, with the times that it does not know.
    pub(super) fn with_times(&self, mut zones: Vec<ZoneState>) -> Vec<ZoneState> {
        let signing = self.design.dnssec.get();
        for zone in &mut zones {
            if let Some(rolling) = zone.signed.as_mut().and_then(|signed| signed.rolling.as_mut()) {
                rolling.until = signing.until(&zone.origin);
            }
        }
        zones
    }

    /// Whether a key's time is over.
    pub(in crate::lab) fn a_key_is_due(&self) -> bool {
        self.design.dnssec.get().due(clock::unix_seconds()).is_some()
    }

    /// Takes away a key whose time is over.
    pub(in crate::lab) async fn replace_key(&self) {
        let _one_at_a_time = self.securing.lock().await;
        let signing = self.design.dnssec.get();
        let Some(zone) = signing.due(clock::unix_seconds()).map(str::to_owned) else { return };
        if let Response::Refused(why) = self.make(&Change::Replace(zone.clone())).await {
            self.journal.note(format!("the former key of {zone} stays for now: {}", why.join(": ")));
            let mut signing = self.design.dnssec.get();
            signing.wait(&zone, TRIED_AGAIN, clock::unix_seconds());
            self.design.dnssec.put(signing);
        }
    }

    /// What is told to whom for `change`: resolvers last. Signing begins with the children: a parent's DS says that they are
    /// signed.
    fn orders(&self, change: &Change, signing: &Signing) -> Vec<(ServiceName, Ask)> {
        let design = &self.design;
        let order = |(name, signs): (ServiceName, bool)| match signs {
            true => (name, Ask::Sign(signing.wanted(name, &design.config, design.network))),
            false => (name, Ask::Believe(signing.anchors())),
        };
        let (mut signers, resolvers): (Vec<_>, Vec<_>) = self.concerned().partition(|&(_, signs)| signs);
        if matches!(change, Change::Sign(_)) {
            signers.reverse();
        }
        signers.into_iter().chain(resolvers).map(order).collect()
    }

    /// The services that have to do with it, and whether they sign.
    fn concerned(&self) -> impl Iterator<Item = (ServiceName, bool)> {
        let signers = SIGNERS.into_iter().map(|name| (name, true));
        let all = signers.chain(ServiceName::RESOLVERS.into_iter().map(|name| (name, false)));
        all.filter(|&(name, _)| self.post(name).is_some())
    }

    /// A zone that is not signed any more has the lower serial of its file again, which a secondary would not take: its
    /// copies are forgotten.
    async fn copy_anew(&self, former: &Signing, next: &Signing) {
        let is_left = former.zones().any(|zone| !next.zones().any(|other| other == zone));
        if !is_left {
            return;
        }
        let is_up = self.post(ServiceName::Dns2).is_some_and(|post| post.condition.borrow().pid.is_some());
        if is_up {
            self.act(Verb::Stop, ServiceName::Dns2).await;
        }
        copies::forget(&self.design.directory);
        if is_up {
            self.act(Verb::Start, ServiceName::Dns2).await;
        }
    }
}

/// Why a zone that `change` would have signed, as is asked for, is served as its file is; nothing where there is none.
fn unsigned(change: &Change, ask: &Ask, served: &[ZoneState]) -> Option<Vec<String>> {
    let (Change::Sign(_), Ask::Sign(wanted)) = (change, ask) else { return None };
    let is_wanted = |origin: &str| wanted.zones.iter().any(|zone| zone.origin.eq_ignore_ascii_case(origin));
    // What is not served at all will be signed when it is.
    let is_plain = |state: &&ZoneState| state.serial.is_some() && state.signed.is_none();
    let plain = served.iter().filter(is_plain).find(|state| is_wanted(&state.origin))?;
    let remedy = format!(
        "{} cannot be signed, so nothing is changed: name the others, or have its file be as it has to",
        plain.origin
    );
    Some(std::iter::once(remedy).chain(plain.problems.iter().cloned()).collect())
}

/// How long anybody remembers what `zone` said, or a DS of its parent's, in seconds.
fn remembered(zone: &str, served: &[ZoneState]) -> u32 {
    let zone = format!("{}.", zone.trim_end_matches('.').to_ascii_lowercase());
    let own = served.iter().find(|state| state.origin.eq_ignore_ascii_case(&zone));
    let is_above = |origin: &str| {
        let origin = origin.to_ascii_lowercase();
        zone != "." && origin == "." || zone.ends_with(&format!(".{origin}"))
    };
    let above = served.iter().filter(|state| is_above(&state.origin));
    let parent = above.max_by_key(|state| state.origin.trim_end_matches('.').len());
    let own_ttl = own.and_then(|state| state.signed.as_ref()).map_or(0, |signed| signed.longest_ttl);
    let ds_ttl = parent.and_then(|state| state.signed.as_ref()).map_or(0, |signed| signed.ds_ttl);
    own_ttl.max(ds_ttl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::channel::ZoneSigned;
    use crate::ground::dnssec::key::Algorithm;
    use crate::ground::dnssec::{Wanted, Zone};

    fn state(origin: &str, longest_ttl: u32, ds_ttl: u32) -> ZoneState {
        let signed = ZoneSigned {
            algorithm: Algorithm::Ecdsa,
            tag: 1,
            rolling: None,
            until: 0,
            longest_ttl,
            ds_ttl,
            wrong: None,
        };
        ZoneState {
            origin: origin.into(),
            file: String::new(),
            serial: Some(1),
            records: 1,
            problems: Vec::new(),
            signed: Some(signed),
        }
    }

    #[test]
    fn a_zone_that_is_served_as_its_file_is_keeps_others_from_being_signed() {
        let zone = |origin: &str| Zone { origin: origin.into(), key: "key".into(), wrong: None };
        let wanted = Wanted { zones: vec![zone("com."), zone("foobar.com.")], ..Wanted::default() };
        let plain = |origin: &str, serial| {
            let problems = vec!["it brings keys".into()];
            ZoneState { serial, signed: None, problems, ..state(origin, 0, 0) }
        };
        let (sign, ask) = (Change::Sign(Vec::new()), Ask::Sign(wanted));
        assert_eq!(unsigned(&sign, &ask, &[state("com.", 5, 5), plain("other.", Some(1))]), None);
        assert_eq!(unsigned(&sign, &ask, &[plain("com.", None)]), None, "it is not served");
        let served = [state("com.", 5, 5), plain("FOOBAR.com.", Some(1))];
        assert_eq!(unsigned(&Change::Mend(None), &ask, &served), None);
        let why = unsigned(&sign, &ask, &served).unwrap();
        assert!(why[0].starts_with("FOOBAR.com. cannot be signed"), "{why:?}");
        assert_eq!(why[1..], ["it brings keys"]);
    }

    #[test]
    fn a_zone_is_remembered_as_long_as_its_sets_and_its_ds() {
        let served = [state(".", 5, 900), state("com.", 50, 400), state("foobar.com.", 300, 0)];
        assert_eq!(remembered("FOOBAR.com", &served), 400);
        assert_eq!(remembered("com.", &served), 900);
        assert_eq!(remembered(".", &served), 5, "nobody is above it");
        assert_eq!(remembered("foobar.com", &served[2..]), 300, "its parent is not signed");
        assert_eq!(remembered("obar.com", &served[1..2]), 400);
        assert_eq!(remembered("xcom", &served[1..2]), 0);
    }
}
