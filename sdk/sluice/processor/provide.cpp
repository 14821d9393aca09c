#include <sluice/processor/provide.hpp>

#include <stdexcept>

namespace sluice::processor {

namespace {

std::shared_ptr<void> call(const value_factories::make_value& make, const std::string& name) {
  std::shared_ptr<void> made;
  try {
    made = make();
  } catch (const std::exception& e) {
    throw std::runtime_error{"cannot make " + name + ": " + e.what()};
  }
  if (!made)
    throw std::runtime_error{"cannot make " + name + ": its factory returned nothing"};
  return made;
}

} // namespace

bool value_factories::add(std::type_index type, scope where, make_value make) {
  auto [at, is_new] = entries_.try_emplace(type);
  if (is_new) {
    at->second = std::make_unique<entry>();
    at->second->where = where;
    at->second->make = std::move(make);
  }
  return is_new;
}

std::shared_ptr<void> value_factories::get(std::type_index type, const std::string& name) {
  auto found = entries_.find(type);
  if (found == entries_.end())
    throw std::runtime_error{"nothing provides " + name + "; say flow.provide<" + name + ">(...)"};
  auto& entry = *found->second;
  if (entry.where == scope::replica)
    return call(entry.make, name);
  std::lock_guard lock{entry.mutex};
  auto shared = entry.shared.lock();
  if (!shared) {
    shared = call(entry.make, name);
    entry.shared = shared;
  }
  return shared;
}

std::shared_ptr<void> replica_values::get(std::type_index type, const std::string& name) {
  std::lock_guard lock{mutex_};
  auto& held = held_[type];
  if (!held)
    held = factories_->get(type, name);
  return held;
}

} // namespace sluice::processor
