"""What all tests share."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run side by side: tiny tensors on many threads would only wait for each other."""
    torch.set_num_threads(1)
