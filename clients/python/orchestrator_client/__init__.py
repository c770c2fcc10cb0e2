"""A typed client of the Orchestrator Service.

`Client` and `AsyncClient` have the same methods. Streams yield the types of `orchestrator_client.core.events`, and
`orchestrator_client.core.errors` draws the errors.
"""

from orchestrator_client.async_client import AsyncClient as AsyncClient
from orchestrator_client.client import Client as Client
from orchestrator_client.core.collector import Answer as Answer
from orchestrator_client.core.errors import ApiError as ApiError
from orchestrator_client.core.errors import ClientError as ClientError
from orchestrator_client.core.errors import ConnectionLost as ConnectionLost
from orchestrator_client.core.errors import ProtocolError as ProtocolError
from orchestrator_client.core.errors import RunFailed as RunFailed
from orchestrator_client.core.events import ApprovalRequired as ApprovalRequired
from orchestrator_client.core.events import ApprovalResolved as ApprovalResolved
from orchestrator_client.core.events import Budget as Budget
from orchestrator_client.core.events import ClientToolCall as ClientToolCall
from orchestrator_client.core.events import Compaction as Compaction
from orchestrator_client.core.events import End as End
from orchestrator_client.core.events import Error as Error
from orchestrator_client.core.events import Event as Event
from orchestrator_client.core.events import Reasoning as Reasoning
from orchestrator_client.core.events import Reconnecting as Reconnecting
from orchestrator_client.core.events import Retry as Retry
from orchestrator_client.core.events import Start as Start
from orchestrator_client.core.events import Token as Token
from orchestrator_client.core.events import ToolCall as ToolCall
from orchestrator_client.core.events import ToolError as ToolError
from orchestrator_client.core.events import ToolOutput as ToolOutput
from orchestrator_client.core.events import ToolResult as ToolResult
from orchestrator_client.core.events import TotalUsage as TotalUsage
from orchestrator_client.core.events import Unknown as Unknown
from orchestrator_client.core.events import Usage as Usage
from orchestrator_client.core.function_tools import ClientTool as ClientTool
from orchestrator_client.core.function_tools import FunctionTool as FunctionTool
from orchestrator_client.core.questions import Call as Call
from orchestrator_client.core.questions import Image as Image
from orchestrator_client.core.questions import WorkspaceImage as WorkspaceImage
from orchestrator_client.core.values import Execution as Execution
from orchestrator_client.core.values import Message as Message
from orchestrator_client.core.values import Page as Page
from orchestrator_client.core.values import Provider as Provider
from orchestrator_client.core.values import Run as Run
from orchestrator_client.core.values import Session as Session
from orchestrator_client.core.values import Tool as Tool
