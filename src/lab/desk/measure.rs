//! What a measure does to the lab: takes a part down, brings it back, takes out of the guestbook what it wrote.

use std::sync::Arc;

use super::Desk;
use crate::ground::channel::{Ask, Mark, Reply};
use crate::lab::control::{Response, Verb};
use crate::lab::faults::wanted::Wanted;
use crate::lab::hold::Down;
use crate::lab::hosts::ServiceName;

/// The fault by which a way is down.
const CUT: &str = "cut";

impl Desk {
    /// Takes something down. What is not done is not done by half.
    pub(in crate::lab) async fn take_down(self: &Arc<Self>, what: &Down) -> Response {
        match what {
            Down::Stop(service) => self.act(Verb::Stop, *service).await,
            Down::Pause(service) => self.act(Verb::Pause, *service).await,
            Down::Cut(cable) => self.cable(cable, false).await,
            Down::Way(edge) => {
                self.add_fault(&Wanted { what: CUT.into(), edge: Some(*edge), ..Wanted::default() }).await
            }
        }
    }

    /// Brings it back; what somebody has brought back already, is.
    pub(in crate::lab) async fn bring_back(self: &Arc<Self>, what: &Down) -> Response {
        let (verb, service) = match what {
            Down::Stop(service) => (Verb::Start, *service),
            Down::Pause(service) => (Verb::Resume, *service),
            Down::Cut(cable) => {
                let turned = cable.split_once('-').map(|(one, other)| format!("{other}-{one}"));
                let same = |cut: &String| cut == cable || Some(cut) == turned.as_ref();
                let is_cut = self.wiring.as_ref().is_some_and(|wiring| wiring.amiss().0.iter().any(same));
                return if is_cut { self.cable(cable, true).await } else { Response::Done(String::new()) };
            }
            Down::Way(edge) => return self.clear_way(*edge, CUT).await,
        };
        match self.undo(verb, service).await {
            Ok(said) => Response::Done(said),
            Err(why) => Response::Refused(vec![why]),
        }
    }

    /// Takes some of the entries with this mark out of the guestbook: how many.
    pub(in crate::lab) async fn forget(&self, mark: &Mark) -> Result<usize, Vec<String>> {
        match self.ask(ServiceName::App, Ask::Forget(mark.clone())).await {
            Ok(Reply::Flushed(count)) => Ok(count),
            Ok(Reply::Refused(causes)) | Err(causes) => Err(causes),
            Ok(_) => Err(vec!["app answered something else".into()]),
        }
    }
}
