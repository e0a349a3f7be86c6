//! One client: reads what it says, writes what its outbox holds, and knows when to give up on it.
//!
//! It is one task. While it writes it does not read, so a client that takes nothing cannot say
//! anything either; it ends when its outbox is full or when a write takes too long, and nobody
//! else notices but by the line that says so.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use runtime::net::TcpStream;
use runtime::sync::mpsc;
use runtime::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::Hub;
use crate::protocol::{Frame, FromClient, FromServer, Refusal};
use crate::rooms::{ClientId, End, Inbox, Outbox};

/// How long a client may stay without joining a room.
const JOIN_LIMIT: Duration = Duration::from_secs(20);
/// How long a client may take to answer a close frame. Some of what it has not read yet must go
/// first, if it reads at all.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// The longest message that is read at all, in bytes. A longer one ends the connection; what is
/// shorter but too long gets a friendly answer.
const MESSAGE_LIMIT: usize = 32 * 1024;
/// How many frames are written in one go.
const BATCH: usize = 64;
/// How many messages a client may send at once, and how many a second from then on.
const BURST: f64 = 40.0;
const RATE: f64 = 20.0;

/// A connection that speaks WebSocket.
type Socket = WebSocketStream<TcpStream>;

/// Serves a client from the first frame to the last.
pub async fn serve(stream: TcpStream, read_already: Vec<u8>, hub: Arc<Hub>) {
    // Small buffers: there may be thousands of clients, and most of them are silent.
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(16 * 1024)
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT));
    let mut socket =
        Socket::from_partially_read(stream, read_already, Role::Server, Some(config)).await;

    let (outbox, mut inbox) = Outbox::new(hub.settings.queue);
    let mut client = Client::new(hub.clone(), outbox);
    let over = client.talk(&mut socket, &mut inbox).await;
    client.leave(&over);
    // Nobody puts frames into it any more, and those in it are not wanted any more.
    drop(inbox);
    // Whoever does not take the farewell in time is cut off.
    let _ = timeout(CLOSE_LIMIT, say_goodbye(socket, over)).await;
}

/// What a client's task knows about it.
struct Client {
    /// What the rooms call it.
    id: ClientId,
    /// What all connections share.
    hub: Arc<Hub>,
    /// How the rooms reach us, and we ourselves: one way keeps the order.
    outbox: Outbox,
    /// What the log calls it; `None` before it joins its first room.
    name: Option<String>,
    /// When the connection became a WebSocket.
    since: Instant,
    /// When anything last came from the other side, if only the answer to a ping.
    heard: Instant,
    /// When we last asked whether it is still there.
    pinged: Instant,
    /// When the user last did something.
    active: Instant,
    /// Whether the others have been told that the user does nothing.
    away: bool,
    /// How much it may send.
    allowance: Allowance,
}

/// Why a conversation is over.
enum Over {
    /// The other side said goodbye.
    Left,
    /// The connection broke.
    Lost,
    /// Nothing came for too long, not even an answer to our pings.
    Silent,
    /// A write took too long.
    Stuck,
    /// It never joined a room.
    NeverJoined,
    /// It sent something that is no WebSocket message, or too long a one.
    Misbehaved(CloseCode, String),
    /// The rooms want it to go.
    Told(End),
    /// The server ends.
    Closing,
}

impl Client {
    fn new(hub: Arc<Hub>, outbox: Outbox) -> Client {
        let now = Instant::now();
        Client {
            id: hub.next_client(),
            hub,
            outbox,
            name: None,
            since: now,
            heard: now,
            pinged: now,
            active: now,
            away: false,
            allowance: Allowance {
                left: BURST,
                at: now,
            },
        }
    }

    /// Talks until there is a reason to stop.
    async fn talk(&mut self, socket: &mut Socket, inbox: &mut Inbox) -> Over {
        let hub = self.hub.clone();
        let mut closing = pin!(hub.until_closing());
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            runtime::select! {
                over = interruption(&mut inbox.end, closing.as_mut()) => return over,
                _ = inbox.frames.recv_many(&mut batch, BATCH) => {}
                incoming = socket.next() => {
                    if let Err(over) = self.hear(incoming) {
                        return over;
                    }
                }
                () = sleep_until(self.next_look()) => match self.look_at_the_clock() {
                    Ok(None) => {}
                    Ok(Some(ping)) => {
                        if socket.feed(ping).await.is_err() {
                            return Over::Lost;
                        }
                    }
                    Err(over) => return over,
                }
            }
            // Written outside of `select!`, so that no branch's end drops it half-way; but being
            // told to go overtakes it, since the other side may not be reading at all.
            runtime::select! {
                over = interruption(&mut inbox.end, closing.as_mut()) => return over,
                written = timeout(self.hub.settings.silence, write(socket, &mut batch)) => {
                    match written {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Over::Lost,
                        Err(_) => return Over::Stuck,
                    }
                }
            }
        }
    }

    /// Deals with what came from the other side.
    fn hear(&mut self, incoming: Option<Result<Message, Error>>) -> Result<(), Over> {
        self.heard = Instant::now();
        let outcome = match incoming {
            Some(Ok(Message::Text(text))) => self.obey(&text),
            Some(Ok(Message::Binary(_))) => Err(Refusal::BadMessage),
            // Pings are answered by the WebSocket crate; pongs have been noticed above.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(_))) => return Err(Over::Left),
            Some(Err(Error::Capacity(_))) => {
                let reason = format!("a message has at most {MESSAGE_LIMIT} bytes");
                return Err(Over::Misbehaved(CloseCode::Size, reason));
            }
            Some(Err(Error::Utf8(_))) => {
                let reason = "a text message must be UTF-8".into();
                return Err(Over::Misbehaved(CloseCode::Invalid, reason));
            }
            Some(Err(Error::Io(_))) | None => return Err(Over::Lost),
            Some(Err(error)) => match error {
                Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                    return Err(Over::Lost);
                }
                error => {
                    // A close frame's reason has at most 123 bytes.
                    let reason = error.to_string().chars().take(30).collect();
                    return Err(Over::Misbehaved(CloseCode::Protocol, reason));
                }
            },
        };
        if let Err(refusal) = outcome {
            self.outbox.push(refusal.frame());
        }
        Ok(())
    }

    /// Does what a message asks for.
    fn obey(&mut self, text: &str) -> Result<(), Refusal> {
        if !self.allowance.take(self.heard) {
            return Err(Refusal::TooFast);
        }
        let message = serde_json::from_str(text).map_err(|_| Refusal::BadMessage)?;
        if matches!(message, FromClient::Ping) {
            self.outbox.push(FromServer::Pong.frame());
            return Ok(());
        }
        // Everything else is a sign of life of the user, not only of the page.
        self.active = self.heard;
        let mut rooms = self.hub.rooms();
        if std::mem::replace(&mut self.away, false) {
            rooms.set_away(self.id, false);
        }
        match message {
            FromClient::Join { room, nick, key } => {
                let place = rooms.join(self.id, &room, &nick, key, &self.outbox)?;
                drop(rooms);
                self.hub.log.line(format_args!(
                    "{} joined #{} ({} here)",
                    place.nick, place.room, place.members
                ));
                self.name = Some(place.nick);
            }
            FromClient::Say { text } => rooms.say(self.id, &text)?,
            FromClient::Nick { nick } => {
                let nick = rooms.rename(self.id, &nick)?;
                drop(rooms);
                if let Some(before) = self.name.replace(nick.clone()) {
                    self.hub.log.line(format_args!("{before} is now {nick}"));
                }
            }
            FromClient::Active | FromClient::Ping => {}
        }
        Ok(())
    }

    /// How long the other side may keep silent before we ask.
    fn patience(&self) -> Duration {
        self.hub.settings.silence / 3
    }

    /// When the clock is worth a look. The sleep that waits for it is made anew in each turn: that
    /// costs nothing unless there is indeed nothing to do.
    fn next_look(&self) -> Instant {
        let ping = self.heard.max(self.pinged) + self.patience();
        let silent = self.heard + self.hub.settings.silence;
        let other = match (&self.name, self.away) {
            (None, _) => self.since + JOIN_LIMIT,
            (Some(_), false) => self.active + self.hub.settings.away,
            (Some(_), true) => silent,
        };
        ping.min(silent).min(other)
    }

    /// Does what time demands: notices silence and absence, or asks for a sign of life.
    fn look_at_the_clock(&mut self) -> Result<Option<Message>, Over> {
        let now = Instant::now();
        if now >= self.heard + self.hub.settings.silence {
            return Err(Over::Silent);
        }
        if self.name.is_none() && now >= self.since + JOIN_LIMIT {
            return Err(Over::NeverJoined);
        }
        if self.name.is_some() && !self.away && now >= self.active + self.hub.settings.away {
            self.away = true;
            self.hub.rooms().set_away(self.id, true);
        }
        if now >= self.heard.max(self.pinged) + self.patience() {
            self.pinged = now;
            return Ok(Some(Message::Ping(Default::default())));
        }
        Ok(None)
    }

    /// Leaves the room and tells the log.
    fn leave(&mut self, over: &Over) {
        // When the server ends, everybody leaves: they need not tell each other.
        if matches!(over, Over::Closing) {
            return;
        }
        let place = self.hub.rooms().leave(self.id, over.why());
        if let Some(name) = &self.name {
            // A slow one is out of its room already.
            let rest = place.map_or(String::new(), |place| {
                format!(" #{} ({} here)", place.room, place.members)
            });
            self.hub
                .log
                .line(format_args!("{name} {}{rest}", over.why()));
        }
    }
}

/// Waits until the client is told to go.
async fn interruption(end: &mut mpsc::Receiver<End>, closing: impl Future<Output = ()>) -> Over {
    runtime::select! {
        Some(end) = end.recv() => Over::Told(end),
        () = closing => Over::Closing,
    }
}

/// Writes all frames, and what the WebSocket crate itself wants to say, in as few system calls as
/// possible.
async fn write(socket: &mut Socket, batch: &mut Vec<Frame>) -> Result<(), Error> {
    for frame in batch.drain(..) {
        socket.feed(Message::Text(frame)).await?;
    }
    socket.flush().await
}

/// Says why it is over and waits for the answer: a socket that is closed with data unread would
/// take the farewell with it.
async fn say_goodbye(mut socket: Socket, over: Over) -> Result<(), Error> {
    match over {
        Over::Lost => return Ok(()),
        // Its farewell is answered by the WebSocket crate, while we wait for the end.
        Over::Left => {}
        _ => socket.close(Some(over.farewell())).await?,
    }
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
    // After nonsense the rest cannot be understood, but it can be thrown away.
    if let Over::Misbehaved(..) = over {
        let stream = socket.get_mut();
        stream.shutdown().await?;
        let mut nonsense = [0; 1024];
        while stream.read(&mut nonsense).await? > 0 {}
    }
    Ok(())
}

impl Over {
    /// For the log and for the others in the room: what to say after the name.
    fn why(&self) -> &str {
        match self {
            Over::Left => "left",
            Over::Lost => "lost the connection",
            Over::Silent => "did not answer any more",
            Over::Stuck | Over::Told(End::TooSlow) => "was too slow and has been disconnected",
            Over::NeverJoined => "never joined",
            Over::Misbehaved(..) => "was disconnected for bad manners",
            Over::Told(End::Replaced) => "connected anew",
            Over::Closing => "left",
        }
    }

    /// For the client itself.
    fn farewell(&self) -> CloseFrame {
        let (code, reason) = match self {
            Over::Silent => (CloseCode::Policy, "silent: no answer to pings"),
            Over::Stuck | Over::Told(End::TooSlow) => (
                CloseCode::Policy,
                "too slow: messages were waiting for you and did not fit any more",
            ),
            Over::NeverJoined => (CloseCode::Policy, "no room was joined in time"),
            // 4000 and above are for applications. The page does not reconnect after this one.
            Over::Told(End::Replaced) => {
                (CloseCode::Library(4001), "replaced by a newer connection")
            }
            Over::Closing => (CloseCode::Away, "the server is going away"),
            Over::Left | Over::Lost => (CloseCode::Normal, "bye"),
            Over::Misbehaved(code, reason) => {
                return CloseFrame {
                    code: *code,
                    reason: reason.as_str().into(),
                };
            }
        };
        CloseFrame {
            code,
            reason: reason.into(),
        }
    }
}

/// A store of permissions to send that fills again with time.
struct Allowance {
    /// How many messages may be sent at once.
    left: f64,
    /// When `left` was true.
    at: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * RATE;
        self.left = (self.left + gained).min(BURST);
        self.at = now;
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}
