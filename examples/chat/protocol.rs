//! What the page and the server say to each other: small JSON objects, told apart by `type`.
//!
//! A client joins a room and may then talk; everything that it can do wrong has an `error` as its
//! answer, with a `code` for programs and a sentence for people. The server's messages are turned
//! into a [`Frame`] once, however many clients get them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The longest text that can be said, in characters.
pub const TEXT_LIMIT: usize = 1000;
/// The longest nickname, in characters.
pub const NICK_LIMIT: usize = 24;
/// The longest room name, in characters.
pub const ROOM_LIMIT: usize = 32;

/// One serialised message. Clones share the bytes.
pub type Frame = Utf8Bytes;

/// What a client may say.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromClient {
    /// Enters a room, and leaves the one before.
    Join {
        /// The room's name, as the user wrote it.
        room: String,
        /// The nickname, as the user wrote it.
        nick: String,
        /// A secret of this browser tab: who knows it may take over its own older connection.
        key: Option<String>,
    },
    /// Says something to everyone in the room.
    Say {
        /// What is said.
        text: String,
    },
    /// Changes the nickname.
    Nick {
        /// The new one.
        nick: String,
    },
    /// The user moved the mouse or pressed a key: not away.
    Active,
    /// The page asks whether we are still here.
    Ping,
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromServer<'a> {
    /// You are in the room now; this is who is here, and what was said last.
    Welcome {
        /// The room's name, tidied.
        room: &'a str,
        /// Your nickname, tidied.
        nick: &'a str,
        /// Everyone here, you included.
        members: Vec<Presence<'a>>,
        /// The last messages, oldest first.
        history: Vec<&'a Said>,
        /// The longest text that can be said.
        text_limit: usize,
    },
    /// Somebody said something.
    Said(&'a Said),
    /// Somebody came.
    Joined {
        /// When, in milliseconds since 1970.
        at: u64,
        /// Who.
        nick: &'a str,
    },
    /// Somebody left.
    Left {
        /// When, in milliseconds since 1970.
        at: u64,
        /// Who.
        nick: &'a str,
        /// Why, to be read after the name: "left".
        why: &'a str,
    },
    /// Somebody has a new nickname.
    Renamed {
        /// When, in milliseconds since 1970.
        at: u64,
        /// The old one.
        from: &'a str,
        /// The new one.
        to: &'a str,
    },
    /// Somebody is away, or back.
    Presence(Presence<'a>),
    /// What you asked for cannot be done.
    Error {
        /// For programs: one of the codes of [`Refusal`].
        code: &'a str,
        /// For people.
        text: &'a str,
    },
    /// The answer to [`FromClient::Ping`].
    Pong,
}

/// A member and whether they are away.
#[derive(Debug, Serialize)]
pub struct Presence<'a> {
    /// Who.
    pub nick: &'a str,
    /// Whether nothing was heard from the user for some time.
    pub away: bool,
}

/// Something that was said.
#[derive(Debug, Serialize)]
pub struct Said {
    /// Counts a room's messages: tells a page which ones it has.
    pub id: u64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who.
    pub nick: String,
    /// What.
    pub text: String,
}

impl FromServer<'_> {
    /// Serialises the message.
    pub fn frame(&self) -> Frame {
        serde_json::to_string(self)
            .expect("these types always have a JSON form")
            .into()
    }
}

/// Why a client's wish is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not JSON, or not one of our messages.
    BadMessage,
    /// The nickname is empty, too long, or has characters that cannot be seen.
    BadNick,
    /// Somebody else in the room has it.
    NickTaken,
    /// The room's name is empty, too long, or has unsuitable characters.
    BadRoom,
    /// There are as many rooms as the server wants to remember.
    TooManyRooms,
    /// Nothing was said.
    EmptyText,
    /// More than [`TEXT_LIMIT`] characters.
    TextTooLong,
    /// Only members may do this.
    NotJoined,
    /// More messages than a person types.
    TooFast,
}

impl Refusal {
    /// The name for programs and the sentence for people.
    pub fn code_and_text(self) -> (&'static str, String) {
        match self {
            Refusal::BadMessage => (
                "bad_message",
                "The server did not understand this message.".into(),
            ),
            Refusal::BadNick => (
                "bad_nick",
                format!("A nickname has 1 to {NICK_LIMIT} visible characters."),
            ),
            Refusal::NickTaken => (
                "nick_taken",
                "Somebody in this room has that nickname: please choose another.".into(),
            ),
            Refusal::BadRoom => (
                "bad_room",
                format!("A room's name has 1 to {ROOM_LIMIT} letters, digits, - or _."),
            ),
            Refusal::TooManyRooms => (
                "too_many_rooms",
                "There are too many rooms: please join one that exists.".into(),
            ),
            Refusal::EmptyText => ("empty_text", "There was nothing to send.".into()),
            Refusal::TextTooLong => (
                "text_too_long",
                format!("That was too long: a message has at most {TEXT_LIMIT} characters."),
            ),
            Refusal::NotJoined => ("not_joined", "Join a room first.".into()),
            Refusal::TooFast => (
                "too_fast",
                "You are sending too fast: wait a moment, then send it again.".into(),
            ),
        }
    }

    /// The message that tells the client.
    pub fn frame(self) -> Frame {
        let (code, text) = self.code_and_text();
        FromServer::Error { code, text: &text }.frame()
    }
}

/// Tidies a nickname: one space between words, none around them, nothing invisible.
pub fn tidy_nick(nick: &str) -> Result<String, Refusal> {
    let nick = nick.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = nick.chars().count();
    if length == 0 || length > NICK_LIMIT || nick.chars().any(is_invisible) {
        return Err(Refusal::BadNick);
    }
    Ok(nick)
}

/// Tidies a room's name: lower case, `-` for spaces, without a leading `#`.
pub fn tidy_room(room: &str) -> Result<String, Refusal> {
    let room = room.trim().trim_start_matches('#').to_lowercase();
    let room = room.split_whitespace().collect::<Vec<_>>().join("-");
    let length = room.chars().count();
    let suits = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    if length == 0 || length > ROOM_LIMIT || !room.chars().all(suits) {
        return Err(Refusal::BadRoom);
    }
    Ok(room)
}

/// Checks a text, and takes the blanks off its end.
pub fn tidy_text(text: &str) -> Result<&str, Refusal> {
    let text = text.trim_end();
    if text.trim_start().is_empty() {
        return Err(Refusal::EmptyText);
    }
    if text.chars().count() > TEXT_LIMIT {
        return Err(Refusal::TextTooLong);
    }
    Ok(text)
}

/// Whether a character in a nickname could pretend to be another name: control characters,
/// zero-width ones, and those that change the direction of writing.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Milliseconds since 1970, as pages want them.
pub fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests;
