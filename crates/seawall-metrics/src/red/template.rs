//! Where the route template of a request comes from.

use std::sync::Arc;

use http::{Extensions, Request};
use matchit::Router;

use crate::error::Error;

#[derive(Clone)]
pub(super) enum Templates {
    Nothing,
    Hook(Arc<Hook>),
    Table(Arc<Router<Box<str>>>),
}

pub(super) type Hook = dyn for<'a> Fn(&'a Extensions) -> Option<&'a str> + Send + Sync;

impl Templates {
    pub(super) fn table<T: Into<Box<str>>>(
        templates: impl IntoIterator<Item = T>,
    ) -> Result<Self, Error> {
        let mut table = Router::new();
        for template in templates {
            let template = template.into();
            table
                .insert(template.as_ref().to_owned(), template.clone())
                .map_err(|error| Error::Template { template, source: Box::new(error) })?;
        }
        Ok(Self::Table(Arc::new(table)))
    }

    pub(super) fn find<'a, B>(&'a self, request: &'a Request<B>) -> Option<&'a str> {
        match self {
            Self::Nothing => None,
            Self::Hook(hook) => hook(request.extensions()),
            Self::Table(table) => table.at(request.uri().path()).ok().map(|found| &**found.value),
        }
    }
}
