//! Which part of the path a failure is laid at, and the path with that part marked.
//!
//! Apart from the page, because here is decided what can be known: whoever explains a failure knows what came before it on
//! the path, and nothing of what lies beyond.

/// What is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// What the client sent.
    Request,
    /// The web server.
    WebServer,
    /// The application server: the process, as the web server meets it.
    ApplicationServer,
    /// The application, as it says of itself.
    Application,
    /// The application's files.
    CodeBase,
    /// The database.
    Database,
}

/// The parts of the path, in the order in which a request meets them.
const HOPS: [&str; 4] = ["You", "Web server", "Application", "Database"];

/// How a part of the path stands, for the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    /// What it is called.
    pub(super) title: &'static str,
    /// What it did; nothing where that is not known.
    pub(super) did: &'static str,
    /// The page's name for its looks: `ok`, `bad`, or nothing.
    pub(super) class: &'static str,
}

impl Component {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "the request itself",
            Self::WebServer => "web server",
            Self::ApplicationServer => "application server",
            Self::Application => "application",
            Self::CodeBase => "application files (code base)",
            Self::Database => "database",
        }
    }

    /// The path of a request that came to an end here, with `status`; `is_direct` if it came to the application without
    /// a web server.
    pub(super) fn path(self, status: u16, is_direct: bool) -> impl Iterator<Item = Hop> {
        let end = match self {
            Self::Request => 0,
            Self::WebServer => 1,
            Self::ApplicationServer | Self::Application | Self::CodeBase => 2,
            Self::Database => 3,
        };
        let hops = HOPS.iter().enumerate().filter(move |(at, _)| !(is_direct && *at == 1));
        hops.map(move |(at, title)| {
            let (did, class) = match at {
                at if at > end => ("", ""),
                at if at == end && end == 0 => ("the reason is here", "bad"),
                at if at == end && status < 500 => ("said no", "bad"),
                at if at == end => ("failed here", "bad"),
                0 => ("asked", "ok"),
                _ => ("passed it on", "ok"),
            };
            Hop { title, did, class }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(component: Component, status: u16, is_direct: bool) -> String {
        let hops = component.path(status, is_direct).map(|hop| format!("{} {}", hop.title, hop.did));
        hops.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_lies_before_the_failure_is_told_and_nothing_beyond() {
        let told_of = |component, status| told(component, status, false);
        assert_eq!(
            told_of(Component::Request, 400),
            "You the reason is here, Web server , Application , Database "
        );
        assert_eq!(
            told_of(Component::WebServer, 404),
            "You asked, Web server said no, Application , Database "
        );
        for component in [Component::ApplicationServer, Component::Application, Component::CodeBase] {
            assert_eq!(
                told_of(component, 502),
                "You asked, Web server passed it on, Application failed here, Database "
            );
        }
        assert_eq!(
            told_of(Component::Database, 503),
            "You asked, Web server passed it on, Application passed it on, Database failed here"
        );
    }

    #[test]
    fn who_asked_the_application_directly_met_no_web_server() {
        assert_eq!(told(Component::Application, 404, true), "You asked, Application said no, Database ");
    }
}
