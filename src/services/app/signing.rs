//! What may be written into the guestbook, and what an account may be called.
//!
//! Texts are kept as they come, in any script, with emoji and combining characters; only control characters are
//! refused, since no keyboard writes them.

use serde::Deserialize;

/// Length of a name at most, in characters.
pub(super) const NAME_LONGEST: usize = 80;

/// Length of a message at most, in bytes of UTF-8.
pub(super) const MESSAGE_LONGEST: usize = 64 * 1024;

/// Length of an account's name at most, in characters.
pub(super) const ACCOUNT_LONGEST: usize = 32;

/// Length of a password at least, in characters (NIST SP 800-63B §3.1.1.2).
pub(super) const PASSWORD_SHORTEST: usize = 8;

/// Length of a password at most, in bytes.
pub(super) const PASSWORD_LONGEST: usize = 512;

/// The form as it was sent; a field that was not sent is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    /// Who signs.
    pub(super) name: String,
    /// What they write.
    pub(super) message: String,
    /// The token of the session that it is sent in, if it is.
    pub(super) token: String,
}

/// What is wrong with a form, one sentence for each field; nothing where a field is right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Problems {
    /// What is wrong with the name.
    pub(super) name: Option<String>,
    /// What is wrong with the message, or with the password.
    pub(super) message: Option<String>,
}

impl Form {
    /// The form as it is to be kept: trimmed, with plain line ends; or what is wrong with it.
    pub(super) fn checked(&self) -> Result<Form, Problems> {
        let checked = Form {
            name: self.name.trim().to_owned(),
            // Forms send CR LF (WHATWG HTML, "constructing the entry list"); what counts is the line.
            message: self.message.replace("\r\n", "\n").trim().to_owned(),
            token: String::new(),
        };
        let problems =
            Problems { name: name_problem(&checked.name), message: message_problem(&checked.message) };
        if problems == Problems::default() { Ok(checked) } else { Err(problems) }
    }
}

/// An account's name and password as they may be registered: what is wrong with each.
pub(super) fn account_problems(name: &str, password: &str) -> Problems {
    let signs = |sign: char| !(sign.is_alphanumeric() || matches!(sign, '.' | '_' | '-'));
    let name = match name.chars().count() {
        0 => Some("The name is empty.".to_owned()),
        length if length > ACCOUNT_LONGEST => {
            Some(format!("The name has {length} characters; {ACCOUNT_LONGEST} are allowed."))
        }
        _ if name.contains(signs) => Some("The name may have letters, digits, and . _ - in it.".to_owned()),
        _ => None,
    };
    let message = if password.chars().count() < PASSWORD_SHORTEST {
        Some(format!("The password needs at least {PASSWORD_SHORTEST} characters."))
    } else if password.len() > PASSWORD_LONGEST {
        Some(format!("The password is longer than {PASSWORD_LONGEST} bytes."))
    } else {
        None
    };
    Problems { name, message }
}

/// What an account is found by: names that differ in case only are the same.
pub(super) fn folded(name: &str) -> String {
    name.trim().chars().take(ACCOUNT_LONGEST + 1).flat_map(char::to_lowercase).collect()
}

fn name_problem(name: &str) -> Option<String> {
    let length = name.chars().count();
    match length {
        0 => Some("The name is empty.".to_owned()),
        _ if length > NAME_LONGEST => {
            Some(format!("The name has {length} characters; {NAME_LONGEST} are allowed."))
        }
        _ if name.contains(char::is_control) => Some("The name has control characters in it.".to_owned()),
        _ => None,
    }
}

fn message_problem(message: &str) -> Option<String> {
    let control = |sign: char| sign.is_control() && !matches!(sign, '\n' | '\t');
    match message.len() {
        0 => Some("The message is empty.".to_owned()),
        length if length > MESSAGE_LONGEST => {
            Some(format!("The message has {length} bytes; {MESSAGE_LONGEST} are allowed."))
        }
        _ if message.contains(control) => Some("The message has control characters in it.".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str, message: &str) -> Form {
        Form { name: name.into(), message: message.into(), token: String::new() }
    }

    #[test]
    fn a_form_is_kept_trimmed() {
        assert_eq!(form("  Ada ", "\r\nHello\r\nworld\t!\n").checked(), Ok(form("Ada", "Hello\nworld\t!")));
        assert_eq!(form("שלום 👩‍👩‍👧‍👦", "🦀").checked(), Ok(form("שלום 👩‍👩‍👧‍👦", "🦀")));
    }

    #[test]
    fn a_name_is_counted_in_characters_a_message_in_bytes() {
        let (name, message) = ("ü".repeat(NAME_LONGEST), "🦀".repeat(MESSAGE_LONGEST / 4));
        assert!(form(&name, &message).checked().is_ok());
        let problems = form(&(name + "ü"), &(message + "🦀")).checked().unwrap_err();
        assert!(problems.name.unwrap().contains("81"));
        assert!(problems.message.unwrap().contains("65540"));
    }

    #[test]
    fn an_accounts_name_is_one_word_of_any_script() {
        for name in ["Ada", "ада", "名前", "a.b_c-d", &"ü".repeat(ACCOUNT_LONGEST)] {
            assert_eq!(account_problems(name, "12345678"), Problems::default(), "{name}");
        }
        for name in ["", " ", "a b", "a\u{202e}b", "🦀", "a\0", "<b>", &"x".repeat(ACCOUNT_LONGEST + 1)] {
            assert!(account_problems(name, "12345678").name.is_some(), "{name:?}");
        }
        assert_eq!(folded(" ÄDA "), "äda");
        for password in ["1234567", "", &"x".repeat(PASSWORD_LONGEST + 1)] {
            assert!(account_problems("ada", password).message.is_some(), "{password}");
        }
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
