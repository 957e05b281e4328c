//! Namespaces that deployments share with others. Whoever opens one needs a right to it, and its owner the right to
//! share: the one gate decides about both, at each operation.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Namespace, Overlay};
use crate::error::Error;
use crate::gate::Gate;
use crate::services::{Identity, Service, Services};

/// A namespace that others may open as far as its owner may share it.
#[derive(Clone)]
pub struct Offer {
    pub namespace: Namespace,
    /// What decides for the owner.
    pub gate: Arc<dyn Gate>,
}

impl Offer {
    /// The same offer to somebody on trial, whose writes `overlay` takes.
    #[must_use]
    pub fn under(&self, overlay: &Arc<Overlay>) -> Self {
        Self {
            namespace: self.namespace.under(overlay.clone()),
            gate: self.gate.clone(),
        }
    }
}

/// The namespaces of a host's deployments that store anything, by the names of the deployments.
#[derive(Clone, Default)]
pub struct Offers(Arc<RwLock<HashMap<String, Arc<Offer>>>>);

impl Offers {
    /// The deployment `name` stores in this namespace from now on.
    pub fn offer(&self, name: &str, offer: Offer) {
        let mut offers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        offers.insert(name.to_owned(), Arc::new(offer));
    }

    /// The deployment `name` shares nothing any more; what is open of it ends at its next operation.
    pub fn withdraw(&self, name: &str) {
        let mut offers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        offers.remove(name);
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Offer>> {
        let offers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        offers.get(name).cloned()
    }
}

/// Gives instances what there is to open.
impl Service for Offers {
    fn attach(&self, _: &Identity, services: &mut Services) -> Result<(), Error> {
        services.insert(self.clone());
        Ok(())
    }
}

/// The target of an access to a key of another deployment's namespace: `team/shared/@/key`. No name of a deployment
/// has the sign, so that none can be taken for the beginning of another's keys.
#[must_use]
pub fn target(owner: &str, key: &str) -> String {
    if key.is_empty() {
        format!("{owner}/@")
    } else {
        format!("{owner}/@/{key}")
    }
}

/// The target of the owner's side of it: sharing with a deployment.
#[must_use]
pub fn shared_with(reader: &str) -> String {
    format!("@share/{reader}")
}
