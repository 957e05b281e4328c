//! Messages on which somebody outside has a say: asked before each one, told after it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::events::Event;
use super::failure::{Ending, Failure, Reason};
use super::incarnation::Life;
use super::mailbox::Envelope;

impl Life {
    /// Handle a message between the two turns of the hook. One that is refused before dies `rejected`.
    pub(super) async fn handle_hooked(
        &mut self,
        envelope: &Arc<Envelope>,
    ) -> Result<Option<Reason>, Ending> {
        if let Some(words) = self.wait_for_hook(envelope, None).await {
            self.cell.bury(
                envelope.clone(),
                Reason::Rejected,
                Some(Failure::Refused(words.clone())),
                Some(words),
            );
            return Ok(Some(Reason::Rejected));
        }
        let result = self.handle(envelope).await;
        let outcome = match &result {
            Ok(None) => "handled",
            Ok(Some(reason)) => reason.name(),
            Err(_) => Reason::Failed.name(),
        };
        // What is said after it changes nothing.
        drop(self.wait_for_hook(envelope, Some(outcome)).await);
        result
    }

    /// Wait for the answer, no longer than a call may take. Tells why the message is refused, if it is.
    async fn wait_for_hook(
        &mut self,
        envelope: &Arc<Envelope>,
        outcome: Option<&'static str>,
    ) -> Option<String> {
        let cell = self.cell.clone();
        let token = cell.next_id();
        let timeout = self.link.limits().call_timeout;
        let until = cell
            .shared
            .after(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        cell.shared.tell(Event::Message {
            address: cell.address.text.clone(),
            incarnation: self.context().incarnation,
            token,
            envelope: envelope.clone(),
            outcome,
        });
        cell.arm(until);
        poll_fn(|_| match cell.take_hook_answer(token) {
            Some(refusal) => Poll::Ready(refusal),
            None if cell.shared.clock.now() >= until => {
                Poll::Ready(Some("the message hook took too long".to_owned()))
            }
            None => Poll::Pending,
        })
        .await
    }
}
