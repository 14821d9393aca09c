#pragma once

#include <sluice/async.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// Coroutines side by side below one that waits for them: what `all`, `any` and `timeout` are made of.
namespace sluice::detail {

/// Where a coroutine gives nothing, something to keep in its place.
template <class T>
using value_of = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// The children of one waiting coroutine. It ends with the last of them, or as soon as one says so; those that
/// still run are then cancelled, as they are when the waiting one is. Used on the executor only.
class group : public std::enable_shared_from_this<group> {
public:
  explicit group(std::size_t count) : left_count_(count) {}
  virtual ~group() = default;
  group(const group&) = delete;
  group& operator=(const group&) = delete;

  bool is_over() const noexcept { return is_over_; }
  bool is_dropped() const noexcept { return is_dropped_; }

  /// Starts a child; its end is given to `take(outcome<T>)`, which returns whether that is the end of all. A
  /// child that comes after this end is not started.
  template <class T, class Take>
  void launch(async<T> work, executor& where, Take take) {
    if (is_over_)
      return;
    auto context = detail::launch(std::move(work), where,
                                  [link = child_link{shared_from_this()}, take](outcome<T> got) mutable {
                                    auto group = std::exchange(link.parent, nullptr);
                                    if (!group->is_over_)
                                      group->end_one(take(std::move(got)));
                                  });
    if (is_over_)
      context->abandon();
    else
      children_.push_back(std::move(context));
  }

  /// Whom the end of the group resumes.
  void set_waiting(std::shared_ptr<suspension> waiting) noexcept { waiting_ = std::move(waiting); }

  /// Cancels what still runs. Safe to call again.
  void close() noexcept {
    is_over_ = true;
    auto children = std::exchange(children_, {}); // their destructors may lead back here
    for (auto& child : children)
      child->abandon();
  }

private:
  /// Notices that a child has gone without an end: the executor has dropped it.
  struct child_link {
    explicit child_link(std::shared_ptr<group> to) noexcept : parent(std::move(to)) {}
    child_link(child_link&&) noexcept = default;
    child_link& operator=(child_link&&) = delete;
    ~child_link() {
      if (parent != nullptr)
        parent->drop();
    }
    std::shared_ptr<group> parent;
  };

  void end_one(bool is_enough) {
    if (--left_count_ > 0 && !is_enough)
      return;
    close();
    if (auto waiting = std::exchange(waiting_, nullptr))
      waiting->resume();
  }

  /// Without one of its children it would wait for ever: it ends where it stands, as they do.
  void drop() noexcept {
    if (is_over_)
      return;
    is_dropped_ = true;
    close();
    waiting_.reset();
  }

  std::size_t left_count_;
  bool is_over_ = false;
  bool is_dropped_ = false;
  std::vector<std::shared_ptr<async_context>> children_;
  std::shared_ptr<suspension> waiting_;
};

/// Starts the children of a group and waits for its end. `Start` is called with the executor.
template <class Start>
class group_awaiter {
public:
  group_awaiter(std::shared_ptr<group> children, Start start)
    : children_(std::move(children)), start_(std::move(start)) {}
  group_awaiter(const group_awaiter&) = delete;
  group_awaiter& operator=(const group_awaiter&) = delete;
  ~group_awaiter() { children_->close(); }

  bool await_ready() const noexcept { return false; }

  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) {
    check_awaiting_coroutine<Promise>();
    auto context = self.promise().context;
    start_(context->where());
    if (children_->is_dropped()) {
      context->abandon(); // takes effect once this has returned
      return true;
    }
    if (children_->is_over())
      return false;
    children_->set_waiting(std::make_shared<suspension>(self, std::move(context)));
    return true;
  }

  void await_resume() const noexcept {}

private:
  std::shared_ptr<group> children_;
  Start start_;
};

} // namespace sluice::detail
