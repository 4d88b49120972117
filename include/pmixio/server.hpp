// What a host server includes: every stage from a listening socket to a served peer, and the policies to choose from.
#pragma once

#include <pmixio/deadline.hpp>
#include <pmixio/handshake/identity.hpp>
#include <pmixio/handshake/parse.hpp>
#include <pmixio/handshake/reply.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/server.hpp>
#include <pmixio/host/upcalls.hpp>
#include <pmixio/listen/contact.hpp>
#include <pmixio/listen/listener.hpp>
#include <pmixio/listen/publish.hpp>
#include <pmixio/observer.hpp>
#include <pmixio/policies.hpp>
#include <pmixio/rethrow.hpp>
#include <pmixio/security/native.hpp>
#include <pmixio/security/none.hpp>
