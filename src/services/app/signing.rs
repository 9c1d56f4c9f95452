//! What may be written into the guestbook.

use serde::Deserialize;

/// Length of a name at most, in characters.
pub(super) const NAME_LONGEST: usize = 80;

/// Length of a message at most, in characters.
pub(super) const MESSAGE_LONGEST: usize = 2000;

/// The form as it was sent; a field that was not sent is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    /// Who signs.
    pub(super) name: String,
    /// What they write.
    pub(super) message: String,
}

/// What is wrong with a form, one sentence for each field; nothing where a field is right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Problems {
    /// What is wrong with the name.
    pub(super) name: Option<String>,
    /// What is wrong with the message.
    pub(super) message: Option<String>,
}

impl Form {
    /// The form as it is to be kept: trimmed, with plain line ends; or what is wrong with it.
    pub(super) fn checked(&self) -> Result<Form, Problems> {
        let checked = Form {
            name: self.name.trim().to_owned(),
            // Forms send CR LF (WHATWG HTML, "constructing the entry list"); what counts is the line.
            message: self.message.replace("\r\n", "\n").trim().to_owned(),
        };
        let problems = Problems {
            name: problem("name", &checked.name, NAME_LONGEST, char::is_control),
            message: problem("message", &checked.message, MESSAGE_LONGEST, |character| {
                character.is_control() && !matches!(character, '\n' | '\t')
            }),
        };
        if problems == Problems::default() { Ok(checked) } else { Err(problems) }
    }
}

fn problem(field: &str, text: &str, longest: usize, forbidden: fn(char) -> bool) -> Option<String> {
    let length = text.chars().count();
    if length == 0 {
        Some(format!("The {field} is empty."))
    } else if length > longest {
        Some(format!("The {field} has {length} characters; {longest} are allowed."))
    } else if text.contains(forbidden) {
        Some(format!("The {field} has control characters in it."))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str, message: &str) -> Form {
        Form { name: name.into(), message: message.into() }
    }

    #[test]
    fn a_form_is_kept_trimmed() {
        assert_eq!(form("  Ada ", "\r\nHello\r\nworld\t!\n").checked(), Ok(form("Ada", "Hello\nworld\t!")));
        assert_eq!(form("שלום 👩‍👩‍👧‍👦", "🦀").checked(), Ok(form("שלום 👩‍👩‍👧‍👦", "🦀")));
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let (name, message) = ("ü".repeat(NAME_LONGEST), "🦀".repeat(MESSAGE_LONGEST));
        assert!(form(&name, &message).checked().is_ok());
        let problems = form(&(name + "ü"), &(message + "🦀")).checked().unwrap_err();
        assert!(problems.name.unwrap().contains("81"));
        assert!(problems.message.unwrap().contains("2001"));
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        let problems = form(" \n ", "Hello").checked().unwrap_err();
        assert!(problems.name.unwrap().contains("empty"));
        assert_eq!(problems.message, None);
        let problems = form("A\0da", "a\u{7}b").checked().unwrap_err();
        assert!(problems.name.unwrap().contains("control"));
        assert!(problems.message.unwrap().contains("control"));
    }
}
