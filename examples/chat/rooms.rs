//! The rooms: who is in them, what was said last, and how everyone gets to know.
//!
//! This is plain data behind one lock, without I/O and without waiting: to tell a member something
//! is to put a frame into its [`Outbox`], a bounded queue that the member's own task empties.
//!
//! What always holds:
//! - Nobody waits for a member. If a member's outbox is full, it is out of the room at once and is
//!   told so beside the queue ([`End::TooSlow`]); the others go on.
//! - A frame is serialised once; the queues hold clones that share the bytes.
//! - Everything that grows has a limit: the history, the outboxes, the number of rooms, and the
//!   time for which an empty room is remembered.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use runtime::sync::mpsc;
use runtime::time::Instant;

use crate::protocol::{
    Frame, FromServer, Presence, Refusal, Said, TEXT_LIMIT, tidy_nick, tidy_room, tidy_text,
    unix_millis,
};

/// How many messages a newcomer gets to see.
const HISTORY: usize = 100;
/// How many rooms there may be, empty ones included.
const ROOMS: usize = 1000;
/// How long a room without members is remembered.
const EMPTY_FOR: Duration = Duration::from_secs(600);

/// Tells clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

/// Why a client is told to go while its connection still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its outbox was full.
    TooSlow,
    /// The same browser tab has connected anew.
    Replaced,
}

/// How a client's task is told things. Clones lead to the same client.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// What to send, in order.
    frames: mpsc::Sender<Frame>,
    /// Overtakes the frames.
    end: mpsc::Sender<End>,
}

/// The other side of an [`Outbox`].
#[derive(Debug)]
pub struct Inbox {
    /// What to send, in order.
    pub frames: mpsc::Receiver<Frame>,
    /// To be obeyed at once.
    pub end: mpsc::Receiver<End>,
}

impl Outbox {
    /// Makes one that holds up to `length` frames.
    pub fn new(length: usize) -> (Outbox, Inbox) {
        let (frames, incoming) = mpsc::channel(length);
        let (end, ended) = mpsc::channel(1);
        let inbox = Inbox {
            frames: incoming,
            end: ended,
        };
        (Outbox { frames, end }, inbox)
    }

    /// Puts a frame into the queue. If the client is too slow for that, it is told to go, and the
    /// answer is `false`; so it is if the client has gone already.
    pub fn push(&self, frame: Frame) -> bool {
        match self.frames.try_send(frame) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.end(End::TooSlow);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    fn end(&self, end: End) {
        // Full means that an earlier reason counts; closed, that the client has gone by itself.
        let _ = self.end.try_send(end);
    }
}

/// All rooms, by name.
#[derive(Debug, Default)]
pub struct Rooms {
    /// Those with members, and those that had some not long ago.
    rooms: HashMap<String, Room>,
    /// Which room each client is in.
    places: HashMap<ClientId, String>,
}

/// One room.
#[derive(Debug, Default)]
struct Room {
    /// In the order in which they came.
    members: Vec<Member>,
    /// The last messages, oldest first.
    history: VecDeque<Said>,
    /// How many messages there have been.
    said: u64,
    /// Since when nobody has been here.
    empty_since: Option<Instant>,
}

/// One client in a room.
#[derive(Debug)]
struct Member {
    /// Which client it is.
    id: ClientId,
    /// Its tidied nickname.
    nick: String,
    /// What a newer connection of the same browser tab knows.
    key: Option<String>,
    /// Whether the user has done nothing for long.
    away: bool,
    /// Where to put what it shall hear.
    outbox: Outbox,
}

/// What [`Rooms::join`] tells the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The room's tidied name.
    pub room: String,
    /// The tidied nickname.
    pub nick: String,
    /// How many members there are now.
    pub members: usize,
}

impl Rooms {
    /// Lets a client into a room, and out of the one where it was. The client gets a welcome, the
    /// others are told.
    ///
    /// A nickname belongs to one member of a room (upper and lower case are the same); only who
    /// has the same `key` may take it over, and ends the older connection.
    pub fn join(
        &mut self,
        id: ClientId,
        room: &str,
        nick: &str,
        key: Option<String>,
        outbox: &Outbox,
    ) -> Result<Place, Refusal> {
        let (name, nick) = (tidy_room(room)?, tidy_nick(nick)?);
        match self.rooms.get(&name) {
            Some(room) => room.free_nick(id, &nick, key.as_deref())?,
            None if self.rooms.len() >= ROOMS => return Err(Refusal::TooManyRooms),
            None => {}
        }
        // From here on nothing can be refused.
        self.leave(id, "went to another room");
        let room = self.rooms.entry(name.clone()).or_default();
        // An older connection of the same tab slips out without a word, and so its newer one in.
        let older = room
            .members
            .iter()
            .position(|member| is_same(&member.nick, &nick));
        if let Some(older) = older {
            let older = room.members.remove(older);
            older.outbox.end(End::Replaced);
            self.places.remove(&older.id);
        }

        room.empty_since = None;
        let member = Member {
            id,
            nick: nick.clone(),
            key,
            away: false,
            outbox: outbox.clone(),
        };
        room.members.push(member);
        self.places.insert(id, name.clone());
        let welcome = FromServer::Welcome {
            room: &name,
            nick: &nick,
            members: room.members.iter().map(Member::presence).collect(),
            history: room.history.iter().collect(),
            text_limit: TEXT_LIMIT,
        };
        outbox.push(welcome.frame());
        if older.is_none() {
            let joined = FromServer::Joined {
                at: unix_millis(),
                nick: &nick,
            };
            self.tell_others(&name, id, joined.frame());
        } else {
            let back = FromServer::Presence(Presence {
                nick: &nick,
                away: false,
            });
            self.tell_others(&name, id, back.frame());
        }
        let members = self.rooms.get(&name).map_or(0, |room| room.members.len());
        Ok(Place {
            room: name,
            nick,
            members,
        })
    }

    /// Lets a client out of its room, if it is in one, and tells the others why.
    pub fn leave(&mut self, id: ClientId, why: &str) -> Option<Place> {
        let name = self.places.remove(&id)?;
        let room = self.rooms.get_mut(&name)?;
        let index = room.members.iter().position(|member| member.id == id)?;
        let nick = room.members.remove(index).nick;
        if room.members.is_empty() {
            room.empty_since = Some(Instant::now());
        }
        let left = FromServer::Left {
            at: unix_millis(),
            nick: &nick,
            why,
        };
        self.tell(&name, left.frame());
        let members = self.rooms.get(&name).map_or(0, |room| room.members.len());
        Some(Place {
            room: name,
            nick,
            members,
        })
    }

    /// Says `text` to everyone in the client's room, the client itself included.
    pub fn say(&mut self, id: ClientId, text: &str) -> Result<(), Refusal> {
        let text = tidy_text(text)?;
        let (name, room, index) = self.find(id)?;
        room.said += 1;
        let said = Said {
            id: room.said,
            at: unix_millis(),
            nick: room.members[index].nick.clone(),
            text: text.to_string(),
        };
        let frame = FromServer::Said(&said).frame();
        if room.history.len() == HISTORY {
            room.history.pop_front();
        }
        room.history.push_back(said);
        self.tell(&name, frame);
        Ok(())
    }

    /// Gives the client another nickname, tells everyone, and returns it tidied.
    pub fn rename(&mut self, id: ClientId, nick: &str) -> Result<String, Refusal> {
        let nick = tidy_nick(nick)?;
        let (name, room, index) = self.find(id)?;
        room.free_nick(id, &nick, None)?;
        let from = std::mem::replace(&mut room.members[index].nick, nick.clone());
        if from != nick {
            let renamed = FromServer::Renamed {
                at: unix_millis(),
                from: &from,
                to: &nick,
            };
            self.tell(&name, renamed.frame());
        }
        Ok(nick)
    }

    /// Marks the client as away or back, and tells everyone if that is new.
    pub fn set_away(&mut self, id: ClientId, away: bool) {
        let Ok((name, room, index)) = self.find(id) else {
            return;
        };
        let member = &mut room.members[index];
        if member.away != away {
            member.away = away;
            let frame = FromServer::Presence(member.presence()).frame();
            self.tell(&name, frame);
        }
    }

    /// Forgets rooms that have been empty for long.
    pub fn sweep(&mut self, now: Instant) {
        self.rooms.retain(|_, room| {
            room.empty_since
                .is_none_or(|since| now.saturating_duration_since(since) < EMPTY_FOR)
        });
    }

    /// The client's room and its place there.
    fn find(&mut self, id: ClientId) -> Result<(String, &mut Room, usize), Refusal> {
        let name = self.places.get(&id).ok_or(Refusal::NotJoined)?.clone();
        let room = self.rooms.get_mut(&name).ok_or(Refusal::NotJoined)?;
        let index = room
            .members
            .iter()
            .position(|member| member.id == id)
            .ok_or(Refusal::NotJoined)?;
        Ok((name, room, index))
    }

    fn tell(&mut self, name: &str, frame: Frame) {
        self.tell_if(name, frame, |_| true);
    }

    fn tell_others(&mut self, name: &str, id: ClientId, frame: Frame) {
        self.tell_if(name, frame, |member| member.id != id);
    }

    /// Puts the frame into each outbox. Whoever is too slow for it is out of the room, which the
    /// others are told in turn: that may find further slow ones, until all who remain have got
    /// everything.
    fn tell_if(&mut self, name: &str, frame: Frame, to: impl Fn(&Member) -> bool) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let mut slow: Vec<Member> = room
            .members
            .extract_if(.., |member| {
                to(member) && !member.outbox.push(frame.clone())
            })
            .collect();
        while let Some(member) = slow.pop() {
            self.places.remove(&member.id);
            let left = FromServer::Left {
                at: unix_millis(),
                nick: &member.nick,
                why: "was too slow and has been disconnected",
            };
            let frame = left.frame();
            slow.extend(
                room.members
                    .extract_if(.., |member| !member.outbox.push(frame.clone())),
            );
        }
        if room.members.is_empty() && room.empty_since.is_none() {
            room.empty_since = Some(Instant::now());
        }
    }
}

impl Room {
    /// Checks that `id` may be called `nick`: nobody else is, or with the same key.
    fn free_nick(&self, id: ClientId, nick: &str, key: Option<&str>) -> Result<(), Refusal> {
        let holder = self
            .members
            .iter()
            .find(|member| member.id != id && is_same(&member.nick, nick));
        match holder {
            Some(holder) if key.is_none() || holder.key.as_deref() != key => {
                Err(Refusal::NickTaken)
            }
            _ => Ok(()),
        }
    }
}

impl Member {
    fn presence(&self) -> Presence<'_> {
        Presence {
            nick: &self.nick,
            away: self.away,
        }
    }
}

/// Whether two nicknames look the same to people.
fn is_same(a: &str, b: &str) -> bool {
    a.chars()
        .flat_map(char::to_lowercase)
        .eq(b.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests;
